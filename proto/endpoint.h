/* The endpoint file of a sweep, SWEEP_FOLDER/endpoint.json: where a running coordinator listens, and which key proves that it is the one. */
#ifndef NERSWEEP_PROTO_ENDPOINT_H
#define NERSWEEP_PROTO_ENDPOINT_H

#include <stdint.h>

#include "proto/socket.h"

typedef struct Endpoint {
    char address[256], feed[256], host[128];
    char server_key[KEY_TEXT_SIZE]; /* public; empty: it listens without keys */
    int32_t pid;
    uint64_t epoch;
} Endpoint;

/* STATUS_NOT_FOUND: no coordinator runs. */
NODISCARD Status endpoint_read(const char *sweep_folder, Endpoint *endpoint, Diagnostic *diagnostic);
NODISCARD Status endpoint_write(const char *sweep_folder, const Endpoint *endpoint, Diagnostic *diagnostic);
/* The file's text; name stands in errors. */
NODISCARD Status endpoint_parse(Endpoint *endpoint, const char *text, size_t size, const char *name, Diagnostic *diagnostic);

/* Makes the context's next sockets fit to connect to the endpoint, with the key of key_file (NULL: the role's in SWEEP_FOLDER/keys) where it
 * wants one. The server's key in the key file counts, not the endpoint's: STATUS_MISMATCH where they differ, or where key_file is given and
 * the endpoint has no keys. */
NODISCARD Status endpoint_use_key(SocketContext *context, const Endpoint *endpoint, const char *sweep_folder, KeyRole role,
                                  const char *key_file, Diagnostic *diagnostic);

#endif
