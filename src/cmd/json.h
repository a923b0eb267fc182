/* SPDX-License-Identifier: MIT */
/* Strings of JSON output; numbers and structure are printed by printf. */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include "base/slice.h"

#include <stdio.h>

/* Writes S as a JSON string, quotes included. Bytes that are not printable ASCII become \u00XX, so that
 * any bytes result in valid JSON and stay distinct. */
void json_string(FILE *f, struct slice s);

/* Writes S as a JSON string of hexadecimal digits, quotes included. */
void json_hex(FILE *f, struct slice s);

#endif
