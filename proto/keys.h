/* CURVE keys (curve25519; ZeroMQ RFC 26) in files of one user alone, and what the holder of which key may do.
 *
 * A folder of keys (0700, its files 0600), made and replaced as a whole:
 *   server.key                             {"role": "server", "public": Z85, "secret": Z85}
 *   worker.key, reader.key, operator.key   {"role", "public", "secret", "server": the server's public key}: one is all that its holder needs
 *   allowed.json                           {"worker": [public keys], "reader": [..], "operator": [..]}: the server refuses every other key
 * A file that others may read or write, or that belongs to somebody else, is refused: it proves nothing. */
#ifndef NERSWEEP_PROTO_KEYS_H
#define NERSWEEP_PROTO_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"
#include "proto/messages.h"

enum { KEY_TEXT_SIZE = 41, ALLOWED_KEY_LIMIT = 256 }; /* Z85 of 32 bytes, terminated */

typedef enum KeyRole {
    KEY_ROLE_NONE,     /* no key that is allowed (any more): no rights */
    KEY_ROLE_WORKER,   /* HELLO, HEARTBEAT, REPORT, FINISHED */
    KEY_ROLE_READER,   /* STATUS_REQUEST, and the feed */
    KEY_ROLE_OPERATOR, /* as a reader, and CONTROL */
    KEY_ROLE_LOCAL,    /* of a socket without keys, which only this machine (or whoever --insecure trusts) reaches: everything */
} KeyRole;
const char *key_role_name(KeyRole role);
/* worker, reader, operator; false: none of these. */
bool key_role_parse(const char *name, KeyRole *role);
bool key_role_may_send(KeyRole role, MessageType type);
bool key_role_may_subscribe(KeyRole role);

typedef struct KeyPair {
    char public_key[KEY_TEXT_SIZE], secret_key[KEY_TEXT_SIZE];
} KeyPair;

typedef struct ClientKey {
    KeyRole role;
    KeyPair pair;
    char server_key[KEY_TEXT_SIZE]; /* public */
} ClientKey;

typedef struct AllowList {
    struct {
        KeyRole role;
        char public_key[KEY_TEXT_SIZE];
    } items[ALLOWED_KEY_LIMIT];
    size_t count;
} AllowList;
/* KEY_ROLE_NONE: not in the list. */
KeyRole allow_list_role(const AllowList *list, const char *public_key);

/* The folder of a sweep's keys, "SWEEP_FOLDER/keys"; the caller frees it. */
char *keys_folder_of(const char *sweep_folder);
/* Makes a folder of new keys; it appears whole. STATUS_EXISTS when it is there, unless replace: then the keys that were there are worth
 * nothing from now on. */
NODISCARD Status keys_create(const char *folder, bool replace, Diagnostic *diagnostic);
/* A new key for one role; the role's keys so far are allowed no longer. */
NODISCARD Status keys_renew(const char *folder, KeyRole role, Diagnostic *diagnostic);

/* Errors name the file and what to do. STATUS_NOT_FOUND, STATUS_PERMISSION (others may read it), STATUS_INVALID_INPUT. */
NODISCARD Status keys_read_server(const char *folder, KeyPair *pair, Diagnostic *diagnostic);
NODISCARD Status keys_read_allowed(const char *folder, AllowList *list, Diagnostic *diagnostic);
NODISCARD Status keys_read_client(const char *path, ClientKey *key, Diagnostic *diagnostic);
/* Overwrites a secret that is no longer needed. */
void keys_forget(void *secret, size_t size);

/* What is in a file; name stands in errors. */
NODISCARD Status client_key_parse(ClientKey *key, const char *text, size_t size, const char *name, Diagnostic *diagnostic);
NODISCARD Status allow_list_parse(AllowList *list, const char *text, size_t size, const char *name, Diagnostic *diagnostic);

#endif
