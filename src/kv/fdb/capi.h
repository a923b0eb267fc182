/* SPDX-License-Identifier: MIT */
/* The part of FoundationDB's C API (version 710) that is used here, declared from its documentation: so
 * neither its headers nor its library are needed to build. library.c loads the client at run time.
 */
#ifndef KV_FDB_CAPI_H
#define KV_FDB_CAPI_H

#include <stdint.h>

#define FDB_API_VERSION 710

typedef struct FDB_future FDBFuture;
typedef struct FDB_database FDBDatabase;
typedef struct FDB_transaction FDBTransaction;
typedef int fdb_error_t; /* 0: success */
typedef int fdb_bool_t;
typedef void (*FDBCallback)(FDBFuture *future, void *arg);

/* The client packs these to 4 bytes, which has no padding either; its arrays lie at any address. */
#pragma pack(push, 1)
typedef struct {
        const uint8_t *key;
        int key_length;
        const uint8_t *value;
        int value_length;
} FDBKeyValue;
#pragma pack(pop)

/* Numbers of options, modes and operations. */
enum {
        FDB_DB_OPTION_MAX_WATCHES = 20,

        FDB_STREAMING_MODE_WANT_ALL = -2, /* chunks of up to 80,000 bytes */
        FDB_STREAMING_MODE_ITERATOR = -1, /* small ones first, then larger ones */

        FDB_MUTATION_ADD = 2,
        FDB_MUTATION_BYTE_MAX = 17,

        FDB_CONFLICT_RANGE_READ = 0,
        FDB_CONFLICT_RANGE_WRITE = 1,

        FDB_PREDICATE_RETRYABLE = 50000, /* one of the other two */
        FDB_PREDICATE_MAYBE_COMMITTED = 50001,
        FDB_PREDICATE_RETRYABLE_NOT_COMMITTED = 50002,
};

/* Errors that the engine distinguishes. */
enum {
        FDB_TRANSACTION_TOO_OLD = 1007,
        FDB_NOT_COMMITTED = 1020,
        FDB_TRANSACTION_CANCELLED = 1025,
        FDB_TRANSACTION_TIMED_OUT = 1031,
        FDB_TOO_MANY_WATCHES = 1032,
        FDB_DATABASE_LOCKED = 1038,
        FDB_OPERATION_CANCELLED = 1101,
        FDB_FILE_NOT_READABLE = 1513,
        FDB_NO_CLUSTER_FILE = 1515,
        FDB_CLIENT_ERRORS = 2000, /* from here on: the request was invalid and was not sent */
        FDB_TRANSACTION_TOO_LARGE = 2101,
        FDB_CONNECTION_STRING_INVALID = 2104,
        FDB_API_VERSION_ALREADY_SET = 2201,
        FDB_API_VERSION_NOT_SUPPORTED = 2203,
        FDB_CLIENT_ERRORS_END = 3000,
};

/* The library's functions, without their prefix "fdb_". */
struct fdb_api {
        const char *(*get_error)(fdb_error_t code);
        fdb_bool_t (*error_predicate)(int predicate, fdb_error_t code);
        fdb_error_t (*select_api_version_impl)(int runtime_version, int header_version);
        int (*get_max_api_version)(void);
        const char *(*get_client_version)(void);
        fdb_error_t (*setup_network)(void);
        fdb_error_t (*run_network)(void);
        fdb_error_t (*stop_network)(void);

        void (*future_cancel)(FDBFuture *f);
        void (*future_destroy)(FDBFuture *f);
        fdb_bool_t (*future_is_ready)(FDBFuture *f);
        fdb_error_t (*future_set_callback)(FDBFuture *f, FDBCallback callback, void *arg);
        fdb_error_t (*future_get_error)(FDBFuture *f);
        fdb_error_t (*future_get_int64)(FDBFuture *f, int64_t *out);
        fdb_error_t (*future_get_value)(FDBFuture *f, fdb_bool_t *out_present, const uint8_t **out_value,
                                        int *out_length);
        fdb_error_t (*future_get_keyvalue_array)(FDBFuture *f, const FDBKeyValue **out_kv, int *out_count,
                                                 fdb_bool_t *out_more);

        fdb_error_t (*create_database)(const char *cluster_file, FDBDatabase **out);
        void (*database_destroy)(FDBDatabase *d);
        fdb_error_t (*database_set_option)(FDBDatabase *d, int option, const uint8_t *value, int length);
        fdb_error_t (*database_create_transaction)(FDBDatabase *d, FDBTransaction **out);

        void (*transaction_destroy)(FDBTransaction *t);
        void (*transaction_set_read_version)(FDBTransaction *t, int64_t version);
        FDBFuture *(*transaction_get_read_version)(FDBTransaction *t);
        FDBFuture *(*transaction_get)(FDBTransaction *t, const uint8_t *key, int length, fdb_bool_t snapshot);
        FDBFuture *(*transaction_get_range)(FDBTransaction *t, const uint8_t *begin, int begin_length,
                                            fdb_bool_t begin_or_equal, int begin_offset, const uint8_t *end,
                                            int end_length, fdb_bool_t end_or_equal, int end_offset,
                                            int limit, int target_bytes, int mode, int iteration,
                                            fdb_bool_t snapshot, fdb_bool_t reverse);
        FDBFuture *(*transaction_get_estimated_range_size_bytes)(FDBTransaction *t, const uint8_t *begin,
                                                                 int begin_length, const uint8_t *end,
                                                                 int end_length);
        void (*transaction_set)(FDBTransaction *t, const uint8_t *key, int length, const uint8_t *value,
                                int value_length);
        void (*transaction_atomic_op)(FDBTransaction *t, const uint8_t *key, int length, const uint8_t *param,
                                      int param_length, int operation);
        void (*transaction_clear)(FDBTransaction *t, const uint8_t *key, int length);
        void (*transaction_clear_range)(FDBTransaction *t, const uint8_t *begin, int begin_length,
                                        const uint8_t *end, int end_length);
        fdb_error_t (*transaction_add_conflict_range)(FDBTransaction *t, const uint8_t *begin,
                                                      int begin_length, const uint8_t *end, int end_length,
                                                      int type);
        FDBFuture *(*transaction_watch)(FDBTransaction *t, const uint8_t *key, int length);
        FDBFuture *(*transaction_commit)(FDBTransaction *t);
        fdb_error_t (*transaction_get_committed_version)(FDBTransaction *t, int64_t *out);
        FDBFuture *(*transaction_on_error)(FDBTransaction *t, fdb_error_t error);
};

#endif
