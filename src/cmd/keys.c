/* SPDX-License-Identifier: MIT */
/* ashlar keys: prints keys and values, decoded. */
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "format/format.h"
#include "record/walk.h"

#include <stdio.h>
#include <string.h>

/* Longest decoded line; longer values are cut by fmt_describe. */
#define LINE_BYTES 16384u

struct args {
        bool json, hex;
        uint8_t prefix[KV_KEY_MAX];
        size_t prefix_len;
};

static const struct cmd_option options[] = {
        { "json", .help = "print one JSON object a line: key and value in hexadecimal, decoded text",
          .flag = offsetof(struct args, json) },
        { "hex", .help = "print key and value in hexadecimal, not decoded",
          .flag = offsetof(struct args, hex) },
        { 0 },
};

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

static bool parse_prefix(const char *s, struct args *a)
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

/* The smallest key after all that begin with the prefix; OUT holds it. */
static struct slice prefix_end(const struct args *a, uint8_t *out)
{
        size_t n = a->prefix_len;

        memcpy(out, a->prefix, n);
        while (n > 0 && out[n - 1] == 0xff)
                n--;
        if (n == 0)
                return rec_keys_end;
        out[n - 1]++;
        return slice_of(out, n);
}

static void print_hex(FILE *f, struct slice s)
{
        for (size_t i = 0; i < s.len; i++)
                fprintf(f, "%02x", s.data[i]);
}

static void print_pair(const struct args *a, FILE *f, struct slice key, struct slice value)
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

/* A snapshot of the whole walk would be held for as long as the output is not read (by a pager), and the
 * store could not reuse any space until then: it is read in chunks. */
static int print_keys(struct kv_store *store, const struct args *a)
{
        struct slice key, value, prefix = slice_of(a->prefix, a->prefix_len);
        uint8_t end[KV_KEY_MAX];
        _cleanup_walk_ struct rec_walk walk;
        int r = rec_walk_start(&walk, store, NULL, prefix, prefix_end(a, end));

        if (r < 0)
                return r;
        while (!ferror(stdout) && (r = rec_walk_next(&walk, &key, &value)) > 0)
                print_pair(a, stdout, key, value);
        return r < 0 ? r : 0;
}

/* Damaged file systems are examined by this command; and undecoded, the keys of a newer version can be
 * printed too. */
static int check_store(struct kv_store *store, const struct args *a, struct err_text *text)
{
        int r = cmd_check_fs(store, text);

        if (r == -ERR_CORRUPT || (r == -ERR_NEWER && a->hex))
                return 0;
        return r;
}

static int print(struct kv_store *store, void *args, struct err_text *text)
{
        int r = check_store(store, args, text);

        if (r < 0)
                return r;
        r = print_keys(store, args);
        if (r < 0)
                return err_set(text, -r, "cannot read the keys: %s", err_str(r));
        return CMD_OK;
}

static int run(int argc, char **argv)
{
        struct args args = { 0 };
        struct cmd_store_opts opts = { .subcommand = "keys", .flags = KV_OPEN_RDONLY };
        const char *operands[CMD_OPERANDS_MAX];
        int r = cmd_parse(&cmd_keys, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        opts.url = operands[0];
        if (operands[1] && !parse_prefix(operands[1], &args))
                return cmd_usage_error("keys", "'%s' is no PREFIX: a backslash begins \\xNN or \\\\",
                                       operands[1]);
        return cmd_with_store(&opts, print, &args);
}

const struct cmd cmd_keys = {
        .name = "keys",
        .synopsis = "[OPTIONS] STORE [PREFIX]",
        .summary = "print keys and values, decoded",
        .about = "Print the keys that begin with PREFIX and their values, decoded, one pair a line. In "
                 "PREFIX\n"
                 "\\xNN stands for a byte and \\\\ for a backslash: i are all inodes,\n"
                 "'d\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01' the names in the root directory.",
        .notes = "For a mounted file system the last durable state is printed.",
        .options = options,
        .operands = { "STORE", "PREFIX" },
        .required = 1,
        .run = run,
};
