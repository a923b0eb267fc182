/* SPDX-License-Identifier: MIT */
/* ashlar keys: prints keys and values, decoded. */
#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "format/format.h"
#include "fs/fs.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one transaction reads at most. A reader that waits for its output (a pager) would otherwise hold one
 * snapshot for hours, and the store could not reuse any space meanwhile. */
#define PAGE_PAIRS 512u
#define PAGE_BYTES (1u << 20)

/* Longest decoded line; longer values are cut by fmt_describe. */
#define LINE_BYTES 16384u

/* Options without a short form. */
enum { OPT_JSON = 256, OPT_HEX };

struct keys {
        const char *store;
        bool json, hex;
        uint8_t prefix[KV_KEY_MAX];
        size_t prefix_len;
};

/* One page of the walk. */
struct page {
        const struct keys *args;
        struct slice after; /* where the page before ended; empty: from the beginning */
        /* Results, written anew by each run of the body. */
        bool more;
        uint8_t last[KV_KEY_MAX];
        size_t last_len;
        char *text;
        size_t text_len;
};

static void print_help(void)
{
        printf("Usage: ashlar keys [OPTIONS] STORE [PREFIX]\n"
               "Print the keys that begin with PREFIX and their values, decoded, one pair a line. In PREFIX\n"
               "\\xNN stands for a byte and \\\\ for a backslash: i are all inodes,\n"
               "'d\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01' the names in the root directory.\n"
               "\n"
               "      --json  print one JSON object a line: key and value in hexadecimal, decoded text\n"
               "      --hex   print key and value in hexadecimal, not decoded\n"
               "      --help  print this\n"
               "\n"
               "A mounted file system's keys are those of its last durable state.\n");
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool parse_prefix(const char *s, struct keys *a)
{
        while (*s) {
                uint8_t byte = (uint8_t)*s;

                if (a->prefix_len == sizeof(a->prefix))
                        return false;
                if (s[0] != '\\') {
                        s++;
                } else if (s[1] == '\\') {
                        s += 2;
                } else {
                        if (s[1] != 'x' || hex_digit(s[2]) < 0 || hex_digit(s[3]) < 0)
                                return false;
                        byte = (uint8_t)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
                        s += 4;
                }
                a->prefix[a->prefix_len++] = byte;
        }
        return true;
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct keys *a)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                { "hex", no_argument, NULL, OPT_HEX },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                switch (c) {
                case OPT_JSON:
                        a->json = true;
                        break;
                case OPT_HEX:
                        a->hex = true;
                        break;
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("keys", argv, c);
                }
        }
        if (optind == argc)
                return cmd_usage_error("keys", "no STORE given");
        if (optind + 2 < argc)
                return cmd_usage_error("keys", "more than one PREFIX given: '%s'", argv[optind + 2]);
        a->store = argv[optind];
        if (optind + 1 < argc && !parse_prefix(argv[optind + 1], a))
                return cmd_usage_error("keys", "'%s' is no PREFIX: a backslash begins \\xNN or \\\\",
                                       argv[optind + 1]);
        return -1;
}

/* The smallest key after all that begin with the prefix. */
static size_t prefix_end(const struct keys *a, uint8_t *out)
{
        size_t n = a->prefix_len;

        memcpy(out, a->prefix, n);
        while (n > 0 && out[n - 1] == 0xff)
                n--;
        if (n > 0) {
                out[n - 1]++;
                return n;
        }
        /* No prefix, or nothing but \xff: stores end their key space there. */
        memset(out, 0xff, 16);
        return 16;
}

static void print_hex(FILE *f, struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                fprintf(f, "%02x", s.data[i]);
}

static void print_pair(const struct keys *a, FILE *f, struct slice key, struct slice value)
{
        char line[LINE_BYTES];

        if (a->hex && !a->json) {
                print_hex(f, key);
                putc(' ', f);
                print_hex(f, value);
                putc('\n', f);
                return;
        }
        fmt_describe(key, value, line, sizeof(line));
        if (!a->json) {
                fprintf(f, "%s\n", line);
                return;
        }
        fputs("{\"key\": ", f);
        json_hex(f, key);
        fputs(", \"value\": ", f);
        json_hex(f, value);
        fputs(", \"text\": ", f);
        json_string(f, slice_str(line));
        fputs("}\n", f);
}

static int print_range(struct kv_txn *t, struct page *p, FILE *f)
{
        uint8_t end[KV_KEY_MAX];
        struct kv_range_opts opts = { .limit = PAGE_PAIRS, .snapshot = true, .mode = KV_ITERATE };
        struct kv_range range;
        struct slice key, value;
        size_t bytes = 0;
        int r;

        opts.begin = p->after.len > 0 ? p->after : slice_of(p->args->prefix, p->args->prefix_len);
        opts.end = slice_of(end, prefix_end(p->args, end));
        kv_range_start(t, &range, &opts);
        while ((r = kv_range_next(&range, &key, &value)) > 0) {
                if (key.len > sizeof(p->last)) {
                        r = -ERR_CORRUPT;
                        break;
                }
                memcpy(p->last, key.data, key.len);
                p->last_len = key.len;
                if (p->after.len == 0 || !slice_eq(key, p->after))
                        print_pair(p->args, f, key, value);
                bytes += key.len + value.len;
                p->more = range.returned == PAGE_PAIRS || bytes >= PAGE_BYTES;
                if (p->more)
                        break;
        }
        kv_range_end(&range);
        return r < 0 ? r : 0;
}

/* A kv_body: prints a page into memory, because it may run again. */
static int read_page(struct kv_txn *t, void *arg)
{
        struct page *p = arg;
        FILE *f;
        int r;

        free(p->text);
        p->text = NULL;
        p->more = false;
        f = open_memstream(&p->text, &p->text_len);
        if (!f)
                return -ENOMEM;
        r = print_range(t, p, f);
        if (fclose(f) != 0 && r >= 0)
                r = -ENOMEM;
        return r;
}

static int print_keys(struct kv_store *store, const struct keys *a)
{
        uint8_t after[KV_KEY_MAX];
        struct page p = { .args = a, .more = true };
        int r = 0;

        while (p.more && !ferror(stdout)) {
                r = kv_run(store, KV_READ, read_page, &p);
                if (r < 0)
                        break;
                fwrite(p.text, 1, p.text_len, stdout);
                memcpy(after, p.last, p.last_len);
                p.after = slice_of(after, p.last_len);
        }
        free(p.text);
        return r;
}

/* Whether STORE is one that we can speak about: an ashlar file system, though it may be damaged, which is
 * what people look at keys for; and unless they are only dumped, of a version that we know. */
static int check_store(struct kv_store *store, const struct keys *a, struct err_text *text)
{
        int r = cmd_check_fs(store, text);

        if (r == -ERR_CORRUPT || (r == -ERR_NEWER && a->hex))
                return 0;
        return r;
}

int cmd_keys(int argc, char **argv)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_RDONLY };
        struct keys args = { 0 };
        struct kv_store *store;
        struct err_text text;
        int r;

        r = parse_args(argc, argv, &args);
        if (r >= 0)
                return r;
        if (kv_open(args.store, &opts, &store, &text) < 0)
                return cmd_failed(&text);
        r = check_store(store, &args, &text);
        if (r >= 0) {
                r = print_keys(store, &args);
                if (r < 0)
                        err_set(&text, -r, "cannot read the keys: %s", err_str(r));
        }
        kv_close(store);
        if (r < 0)
                return cmd_store_failed(args.store, &text);
        return cmd_finish_output(CMD_OK);
}
