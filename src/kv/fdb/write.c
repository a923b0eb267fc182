/* SPDX-License-Identifier: MIT */
/* Writes and conflicts. The client reports most errors of writes in the commit. */
#include "kv/fdb/internal.h"

#include <stdlib.h>

void fdb_write_reserved(struct fdb_txn *t)
{
        uint8_t *data = t->reserved;

        if (!data)
                return;
        t->reserved = NULL;
        fdb_api_of(t)->transaction_set(t->tr, data, (int)t->reserved_key_len, data + t->reserved_key_len,
                                       (int)t->reserved_len);
        free(data);
}

/* Every write begins with this. */
static struct fdb_txn *begin_write(struct kv_txn *txn)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;

        fdb_write_reserved(t);
        t->writes = true;
        return t;
}

int fdb_set(struct kv_txn *txn, struct slice key, struct slice value)
{
        struct fdb_txn *t = begin_write(txn);
        uint8_t full[FDB_KEY_MAX];

        fdb_api_of(t)->transaction_set(t->tr, full, fdb_key(fdb_store_of(t), key, full), value.data,
                                       (int)value.len);
        return 0;
}

int fdb_set_reserve(struct kv_txn *txn, struct slice key, size_t len, void **ret)
{
        struct fdb_txn *t = begin_write(txn);

        t->reserved = malloc(FDB_KEY_MAX + len);
        if (!t->reserved)
                return -ENOMEM;
        t->reserved_key_len = (size_t)fdb_key(fdb_store_of(t), key, t->reserved);
        t->reserved_len = len;
        *ret = t->reserved + t->reserved_key_len;
        return 0;
}

int fdb_clear(struct kv_txn *txn, struct slice key)
{
        struct fdb_txn *t = begin_write(txn);
        uint8_t full[FDB_KEY_MAX];

        fdb_api_of(t)->transaction_clear(t->tr, full, fdb_key(fdb_store_of(t), key, full));
        return 0;
}

int fdb_clear_range(struct kv_txn *txn, struct slice begin, struct slice end)
{
        struct fdb_txn *t = begin_write(txn);
        const struct fdb_store *s = fdb_store_of(t);
        uint8_t full_begin[FDB_KEY_MAX], full_end[FDB_KEY_MAX];
        int begin_len = fdb_key(s, begin, full_begin), end_len = fdb_key(s, end, full_end);

        s->api->transaction_clear_range(t->tr, full_begin, begin_len, full_end, end_len);
        return 0;
}

/* FoundationDB's operations give exactly the bytes that kv.h defines. */
int fdb_atomic(struct kv_txn *txn, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct fdb_txn *t = begin_write(txn);
        uint8_t full[FDB_KEY_MAX];

        fdb_api_of(t)->transaction_atomic_op(t->tr, full, fdb_key(fdb_store_of(t), key, full), operand.data,
                                             (int)operand.len,
                                             op == KV_ADD ? FDB_MUTATION_ADD : FDB_MUTATION_BYTE_MAX);
        return 0;
}

int fdb_conflict_range(struct kv_txn *txn, enum kv_conflict kind, struct slice begin, struct slice end)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        const struct fdb_store *s = fdb_store_of(t);
        uint8_t full_begin[FDB_KEY_MAX], full_end[FDB_KEY_MAX];
        int begin_len = fdb_key(s, begin, full_begin), end_len = fdb_key(s, end, full_end);

        fdb_write_reserved(t);
        if (kind == KV_CONFLICT_READ && !(txn->flags & KV_WRITE))
                return 0; /* transactions that only read never conflict */
        if (kind == KV_CONFLICT_WRITE)
                t->writes = true;
        return fdb_failed(t, s->api->transaction_add_conflict_range(t->tr, full_begin, begin_len, full_end,
                                                                    end_len,
                                                                    kind == KV_CONFLICT_READ
                                                                            ? FDB_CONFLICT_RANGE_READ
                                                                            : FDB_CONFLICT_RANGE_WRITE));
}
