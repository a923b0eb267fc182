/* SPDX-License-Identifier: MIT */
/* A fuzz target: libFuzzer calls it (clang, -Dfuzz=true), or fuzz_main.c everywhere. */
#ifndef TESTS_FORMAT_FUZZ_H
#define TESTS_FORMAT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Aborts, so that every fuzzer notices, with NDEBUG too. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
