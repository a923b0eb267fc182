/* SPDX-License-Identifier: MIT */
/* JSON for scripts: just the strings; numbers and structure are printf's. */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include "base/slice.h"

#include <stdio.h>

/* Writes S as a JSON string, quotes included. Bytes that are not printable ASCII become \u00XX, so that
 * any bytes come out as valid JSON and can be told apart. */
void json_string(FILE *f, struct slice s);

/* Writes S as a JSON string of hexadecimal digits, quotes included. */
void json_hex(FILE *f, struct slice s);

#endif
