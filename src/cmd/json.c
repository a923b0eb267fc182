/* SPDX-License-Identifier: MIT */
#include "cmd/json.h"

void json_string(FILE *f, struct slice s)
{
        putc('"', f);
        for (size_t i = 0; i < s.len; i++) {
                uint8_t c = s.data[i];

                if (c == '"' || c == '\\')
                        fprintf(f, "\\%c", c);
                else if (c >= 0x20 && c < 0x7f)
                        putc(c, f);
                else
                        fprintf(f, "\\u%04x", c);
        }
        putc('"', f);
}

void json_hex(FILE *f, struct slice s)
{
        putc('"', f);
        for (size_t i = 0; i < s.len; i++)
                fprintf(f, "%02x", s.data[i]);
        putc('"', f);
}
