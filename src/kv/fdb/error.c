/* SPDX-License-Identifier: MIT */
/* FoundationDB's error codes as this project's. */
#include "kv/fdb/internal.h"

static bool is_client_error(fdb_error_t e)
{
        return e >= FDB_CLIENT_ERRORS && e < FDB_CLIENT_ERRORS_END;
}

int fdb_error(const struct fdb_api *api, fdb_error_t e)
{
        switch (e) {
        case 0:
                return 0;
        case FDB_NOT_COMMITTED:
        case FDB_TRANSACTION_TOO_OLD:
                return -ERR_CONFLICT;
        case FDB_TOO_MANY_WATCHES:
                return -EMFILE;
        case FDB_TRANSACTION_CANCELLED:
        case FDB_OPERATION_CANCELLED:
                return -ECANCELED;
        case FDB_TRANSACTION_TIMED_OUT: /* only if the environment sets a time limit for the client */
                return -ERR_RETRY;
        case FDB_TRANSACTION_TOO_LARGE:
                return -E2BIG;
        default:
                if (api->error_predicate(FDB_PREDICATE_RETRYABLE_NOT_COMMITTED, e) ||
                    api->error_predicate(FDB_PREDICATE_MAYBE_COMMITTED, e))
                        return -ERR_RETRY;
                return is_client_error(e) ? -EINVAL : -EIO;
        }
}

int fdb_commit_error(const struct fdb_api *api, fdb_error_t e)
{
        if (e == 0 || is_client_error(e) || api->error_predicate(FDB_PREDICATE_RETRYABLE_NOT_COMMITTED, e))
                return fdb_error(api, e);
        return -ERR_UNKNOWN_RESULT;
}

int fdb_failed(struct fdb_txn *t, fdb_error_t e)
{
        if (e && !t->failed)
                t->failed = e;
        if (e == FDB_OPERATION_CANCELLED && fdb_store_of(t)->given_up)
                return -ERR_AWAY;
        return fdb_error(fdb_api_of(t), e);
}
