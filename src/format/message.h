/* SPDX-License-Identifier: MIT */
/* Protobuf messages without the heap: protobuf-c unpacks into a struct fmt_scratch. */
#ifndef FORMAT_MESSAGE_H
#define FORMAT_MESSAGE_H

#include "format/ashlar.pb-c.h"
#include "format/format.h"

/* Unpacks VALUE, of at most MAX bytes, as a message of type D. The message and all that it points to live in
 * SCRATCH, whose earlier content is lost. NULL for damage: VALUE is too long, not such a message, or has more
 * unknown fields than fit into SCRATCH. */
const void *fmt_message_unpack(const ProtobufCMessageDescriptor *d, struct slice value, size_t max,
                               struct fmt_scratch *scratch);

/* Packs M into OUT, of MAX bytes (asserted to suffice), and returns the length. */
size_t fmt_message_pack(const ProtobufCMessage *m, size_t max, uint8_t *out);

static inline struct slice fmt_message_slice(ProtobufCBinaryData d)
{
        return slice_of(d.data, d.len);
}

/* The first MAX bytes of S. protobuf-c only reads them, but its type is not const. */
static inline ProtobufCBinaryData fmt_message_bytes(struct slice s, size_t max)
{
        return (ProtobufCBinaryData){ .data = (uint8_t *)s.data, .len = s.len < max ? s.len : max };
}

#endif
