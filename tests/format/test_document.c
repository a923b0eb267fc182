/* SPDX-License-Identifier: MIT */
/* The examples of docs/FORMAT.md: each is decoded, described and encoded again. The path is the argument. */
#include "base/cleanup.h"
#include "format/format.h"
#include "reencode.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct bytes {
        size_t len;
        uint8_t data[2048];
};

struct example {
        unsigned line; /* of the document, where it begins */
        struct bytes key, value;
        bool has_text;
        char text[2048];
};

static const char *document;

/* Adds the pairs of hex digits in TEXT, up to a comment. */
static void add_hex(struct bytes *b, const char *text, unsigned line)
{
        unsigned byte;
        int n;

        for (;;) {
                while (*text == ' ')
                        text++;
                if (*text == ';' || *text == '\0')
                        return;
                if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
                    sscanf(text, "%2x%n", &byte, &n) != 1 || b->len == sizeof(b->data))
                        fail_msg("%s:%u: not a hex byte: %s", document, line, text);
                b->data[b->len++] = (uint8_t)byte;
                text += 2;
        }
}

static bool after(const char *line, const char *word, const char **ret)
{
        size_t n = strlen(word);

        if (strncmp(line, word, n) != 0)
                return false;
        *ret = line + n;
        return true;
}

static void add_line(struct example *e, const char *line, unsigned number)
{
        const char *rest;

        if (after(line, "key ", &rest)) {
                add_hex(&e->key, rest, number);
        } else if (after(line, "value ", &rest)) {
                add_hex(&e->value, rest, number);
        } else if (after(line, "text  ", &rest)) {
                assert_false(e->has_text);
                assert_true(strlen(rest) < sizeof(e->text));
                strcpy(e->text, rest);
                e->has_text = true;
        } else {
                fail_msg("%s:%u: neither key nor value nor text: %s", document, number, line);
        }
}

static void check(const struct example *e)
{
        struct slice key = slice_of(e->key.data, e->key.len), value = slice_of(e->value.data, e->value.len);
        uint8_t again[FMT_INODE_MAX];
        struct fmt_parsed_key p;
        struct fmt_key k;
        char text[2048];
        int n;

        if (!e->has_text || fmt_key_parse(key, &p) < 0)
                fail_msg("%s:%u: no text, or the key is none", document, e->line);
        fmt_describe(key, value, text, sizeof(text));
        if (strcmp(text, e->text) != 0)
                fail_msg("%s:%u: description is\n%s", document, e->line, text);
        reencode_key(&p, &k);
        if (!slice_eq(fmt_slice(&k), key))
                fail_msg("%s:%u: the key is encoded in another way", document, e->line);
        n = reencode_value(&p, value, again);
        if (n != -ENODATA && (n < 0 || !slice_eq(slice_of(again, (size_t)n), value)))
                fail_msg("%s:%u: the value is encoded in another way", document, e->line);
}

/* Calls FN for each example; returns their number. */
static unsigned each_example(void (*fn)(const struct example *e))
{
        _cleanup_fclose_ FILE *f = fopen(document, "re");
        unsigned number = 0, count = 0;
        bool inside = false;
        struct example e;
        char line[2048];

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                number++;
                line[strcspn(line, "\n")] = '\0';
                if (!inside && strcmp(line, "```example") == 0) {
                        e = (struct example){ .line = number };
                        inside = true;
                } else if (inside && strcmp(line, "```") == 0) {
                        fn(&e);
                        count++;
                        inside = false;
                } else if (inside) {
                        add_line(&e, line, number);
                }
        }
        assert_false(inside);
        return count;
}

static void test_examples(void **state)
{
        assert_true(each_example(check) > 0);
}

static unsigned kinds_seen;

static void note_kind(const struct example *e)
{
        struct fmt_parsed_key p;

        if (fmt_key_parse(slice_of(e->key.data, e->key.len), &p) == 0)
                kinds_seen |= 1u << p.kind;
}

static void test_every_kind_has_one(void **state)
{
        each_example(note_kind);
        assert_int_equal(kinds_seen, (1u << (FMT_STATUS + 1)) - 1);
}

/* The compressed examples unpack to what their comments say. */
static void check_block(const struct example *e)
{
        static uint8_t out[65536], expected[1000];
        struct slice value = slice_of(e->value.data, e->value.len);
        struct fmt_parsed_key p;
        size_t len;

        assert_int_equal(fmt_key_parse(slice_of(e->key.data, e->key.len), &p), 0);
        if (p.kind != FMT_BLOCK || !p.compressed || p.parity.len > 0)
                return;
        memset(expected, 'a', sizeof(expected));
        assert_int_equal(fmt_block_decode(&p, value, sizeof(out), out, &len), 0);
        assert_int_equal(len, sizeof(expected));
        assert_memory_equal(out, expected, len);
}

static void test_compressed_examples(void **state)
{
        each_example(check_block);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_examples),
                cmocka_unit_test(test_every_kind_has_one),
                cmocka_unit_test(test_compressed_examples),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: %s FORMAT.md\n", argv[0]);
                return 2;
        }
        document = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
