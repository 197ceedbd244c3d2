/* ZAP 1.0 (ZeroMQ RFC 27): how ZeroMQ asks whether a peer that has proved its CURVE key may connect. Only the frames; socket.c carries them. */
#ifndef NERSWEEP_PROTO_ZAP_H
#define NERSWEEP_PROTO_ZAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum { ZAP_FRAME_LIMIT = 8, ZAP_REPLY_FRAMES = 6, ZAP_KEY_SIZE = 32, ZAP_TEXT_SIZE = 256 };

typedef struct ZapFrame {
    const void *bytes;
    size_t size;
} ZapFrame;

typedef struct ZapRequest {
    uint8_t id[255]; /* to be given back as it is */
    size_t id_size;
    char domain[ZAP_TEXT_SIZE];       /* of the socket that was connected to */
    char address[ZAP_TEXT_SIZE];      /* of the peer, without control characters: for the log */
    uint8_t public_key[ZAP_KEY_SIZE]; /* of the peer */
} ZapRequest;

/* Anything but a whole CURVE request of version 1.0 is STATUS_INVALID_INPUT. */
NODISCARD Status zap_parse(ZapRequest *request, const ZapFrame *frames, size_t count, Diagnostic *diagnostic);

/* Fills the frames of the answer, which point into request and user. user: what messages of this peer are marked with; NULL: refused. */
void zap_answer(const ZapRequest *request, const char *user, ZapFrame frames[ZAP_REPLY_FRAMES]);

#endif
