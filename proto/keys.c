#include "proto/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "proto/socket.h"

enum { KEY_FILE_LIMIT = 65536, ROLE_FIRST = KEY_ROLE_WORKER, ROLE_LAST = KEY_ROLE_OPERATOR };

static const char *const role_names[] = {[KEY_ROLE_NONE] = "nobody",
                                         [KEY_ROLE_WORKER] = "worker",
                                         [KEY_ROLE_READER] = "reader",
                                         [KEY_ROLE_OPERATOR] = "operator",
                                         [KEY_ROLE_LOCAL] = "local"};

/* All that a folder of keys holds. */
typedef struct KeySet {
    KeyPair server;
    ClientKey clients[ROLE_LAST + 1]; /* by role */
    AllowList allowed;
} KeySet;

/* ------------------------------------------------------------------------------------------------ rights */

const char *key_role_name(KeyRole role)
{
    return role_names[role];
}

bool key_role_parse(const char *name, KeyRole *role)
{
    for (int i = ROLE_FIRST; i <= ROLE_LAST; i++)
        if (strcmp(name, role_names[i]) == 0) {
            *role = (KeyRole)i;
            return true;
        }
    return false;
}

bool key_role_may_send(KeyRole role, MessageType type)
{
    switch (role) {
    case KEY_ROLE_LOCAL:
        return true;
    case KEY_ROLE_WORKER:
        return type == MESSAGE_HELLO || type == MESSAGE_HEARTBEAT || type == MESSAGE_REPORT || type == MESSAGE_FINISHED;
    case KEY_ROLE_READER:
        return type == MESSAGE_STATUS_REQUEST;
    case KEY_ROLE_OPERATOR:
        return type == MESSAGE_STATUS_REQUEST || type == MESSAGE_CONTROL;
    default:
        return false;
    }
}

bool key_role_may_subscribe(KeyRole role)
{
    return role == KEY_ROLE_READER || role == KEY_ROLE_OPERATOR || role == KEY_ROLE_LOCAL;
}

KeyRole allow_list_role(const AllowList *list, const char *public_key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].public_key, public_key) == 0)
            return list->items[i].role;
    return KEY_ROLE_NONE;
}

/* ------------------------------------------------------------------------------------------------ reading */

static bool is_key(const char *text)
{
    static const char z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    return strlen(text) == KEY_TEXT_SIZE - 1 && strspn(text, z85) == KEY_TEXT_SIZE - 1;
}

static Status copy_key(const Json *json, const char *member, const char *name, char key[KEY_TEXT_SIZE], Diagnostic *diagnostic)
{
    const char *text;
    Status status = json_require_string(json, member, name, &text, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (!is_key(text))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"%s\" is no key: 40 characters of Z85 are expected", name, member);
    memcpy(key, text, KEY_TEXT_SIZE);
    return STATUS_OK;
}

/* *role lives as long as *json. */
static Status parse_key_file(Json **json, const char *text, size_t size, const char *name, KeyPair *pair, const char **role,
                             Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(json_parse(json, text, size, name, diagnostic));
    TRY(json_require_string(*json, "role", name, role, diagnostic));
    TRY(copy_key(*json, "public", name, pair->public_key, diagnostic));
    TRY(copy_key(*json, "secret", name, pair->secret_key, diagnostic));
out:
    return status;
}

Status client_key_parse(ClientKey *key, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    const char *role;
    memset(key, 0, sizeof *key);
    TRY(parse_key_file(&json, text, size, name, &key->pair, &role, diagnostic));
    if (!key_role_parse(role, &key->role))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the role \"%.40s\" is none of worker, reader, operator", name, role);
    TRY(copy_key(json, "server", name, key->server_key, diagnostic));
out:
    json_destroy(&json);
    if (status != STATUS_OK)
        keys_forget(key, sizeof *key);
    return status;
}

static Status parse_allowed_role(AllowList *list, const Json *json, KeyRole role, const char *name, Diagnostic *diagnostic)
{
    const Json *keys = json_get(json, role_names[role]);
    if (keys && !json_is_array(keys))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"%s\" is no list of keys", name, role_names[role]);
    for (size_t i = 0; i < json_count(keys); i++) {
        const char *text = json_string_value(json_at(keys, i));
        if (!text || !is_key(text))
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key %zu of \"%s\" is no key: 40 characters of Z85 are expected",
                        name, i + 1, role_names[role]);
        if (allow_list_role(list, text) != KEY_ROLE_NONE)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key %zu of \"%s\" is in the list twice", name, i + 1,
                        role_names[role]);
        if (list->count == ALLOWED_KEY_LIMIT)
            return FAIL(diagnostic, STATUS_LIMIT, "%s: more than %d keys", name, ALLOWED_KEY_LIMIT);
        list->items[list->count].role = role;
        memcpy(list->items[list->count++].public_key, text, KEY_TEXT_SIZE);
    }
    return STATUS_OK;
}

Status allow_list_parse(AllowList *list, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *json = NULL;
    const char *member = NULL;
    KeyRole role;
    list->count = 0;
    TRY(json_parse(&json, text, size, name, diagnostic));
    if (!json_is_object(json))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: an object with lists of keys by role is expected", name);
    while ((member = json_next_key(json, member)) != NULL)
        if (!key_role_parse(member, &role))
            TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the role \"%.40s\" is none of worker, reader, operator", name, member);
    for (int i = ROLE_FIRST; i <= ROLE_LAST; i++)
        TRY(parse_allowed_role(list, json, (KeyRole)i, name, diagnostic));
out:
    json_destroy(&json);
    if (status != STATUS_OK)
        list->count = 0;
    return status;
}

/* Whether the open file is one that only its owner, us, can have written or read. */
static Status check_private(int file, const char *path, size_t *size, Diagnostic *diagnostic)
{
    struct stat about;
    if (fstat(file, &about) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s is no file", path);
    if (about.st_uid != geteuid())
        return FAIL(diagnostic, STATUS_PERMISSION,
                    "%s belongs to another user: a key is only worth something in a file of one's own", path);
    if (about.st_mode & 077)
        return FAIL(diagnostic, STATUS_PERMISSION,
                    "%s is open to others (mode %04o), and so may its key be known to them: nersweep keys --force makes new ones "
                    "(chmod 600 if nobody can have seen it)",
                    path, (unsigned)about.st_mode & 07777);
    if (about.st_size > KEY_FILE_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%s has more than %d bytes: it is no file of keys", path, KEY_FILE_LIMIT);
    *size = (size_t)about.st_size;
    return STATUS_OK;
}

/* text: [KEY_FILE_LIMIT], to be forgotten by the caller. */
static Status read_private(const char *path, char *text, size_t *size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot read the key file %s: %s", path, strerror(errno));
    TRY(check_private(file, path, size, diagnostic));
    size_t got = 0;
    while (got < *size) {
        ssize_t count = read(file, text + got, *size - got);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            TRY_FAIL(diagnostic, count < 0 ? status_from_errno(errno) : STATUS_CORRUPT, "cannot read the whole of %s: %s", path,
                     count < 0 ? strerror(errno) : "it has become shorter");
        got += (size_t)count;
    }
out:
    if (file >= 0)
        close(file);
    return status;
}

Status keys_read_server(const char *folder, KeyPair *pair, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char text[KEY_FILE_LIMIT], *path = path_join(folder, "server.key");
    size_t size;
    const char *role;
    Json *json = NULL;
    memset(pair, 0, sizeof *pair);
    TRY(read_private(path, text, &size, diagnostic));
    TRY(parse_key_file(&json, text, size, path, pair, &role, diagnostic));
    if (strcmp(role, "server") != 0)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s is the key of another role: %.40s", path, role);
out:
    if (status != STATUS_OK)
        keys_forget(pair, sizeof *pair);
    keys_forget(text, sizeof text);
    json_destroy(&json);
    free(path);
    return status;
}

Status keys_read_allowed(const char *folder, AllowList *list, Diagnostic *diagnostic)
{
    char text[KEY_FILE_LIMIT], *path = path_join(folder, "allowed.json");
    size_t size;
    list->count = 0;
    Status status = read_private(path, text, &size, diagnostic);
    if (status == STATUS_OK)
        status = allow_list_parse(list, text, size, path, diagnostic);
    free(path);
    return status;
}

Status keys_read_client(const char *path, ClientKey *key, Diagnostic *diagnostic)
{
    char text[KEY_FILE_LIMIT];
    size_t size;
    memset(key, 0, sizeof *key);
    Status status = read_private(path, text, &size, diagnostic);
    if (status == STATUS_OK)
        status = client_key_parse(key, text, size, path, diagnostic);
    keys_forget(text, sizeof text);
    return status;
}

void keys_forget(void *secret, size_t size)
{
    explicit_bzero(secret, size);
}

char *keys_folder_of(const char *sweep_folder)
{
    return path_join(sweep_folder, "keys");
}

/* ------------------------------------------------------------------------------------------------ making */

/* A new file that nobody else could open at any moment. */
static Status write_private(const char *folder, const char *name, const Json *json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const FileSystem *fs = file_system_posix();
    char *path = path_join(folder, name), *text = json_text(json, JSON_INDENTED);
    int file = fs->open(fs->context, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot create %s: %s", path, strerror(errno));
    TRY(file_write_all(fs, file, text, strlen(text), path, diagnostic));
    TRY(file_write_all(fs, file, "\n", 1, path, diagnostic));
    TRY(file_fsync(fs, file, path, diagnostic));
out:
    if (file >= 0 && fs->close(fs->context, file) != 0 && status == STATUS_OK)
        status = FAIL(diagnostic, status_from_errno(errno), "cannot write %s: %s", path, strerror(errno));
    keys_forget(text, strlen(text));
    free(text);
    free(path);
    return status;
}

static Status write_key(const char *folder, const char *role, const KeyPair *pair, const char *server_key, Diagnostic *diagnostic)
{
    Json *json = json_object();
    char *name = memory_format("%s.key", role);
    json_set(json, "role", json_string(role));
    json_set(json, "public", json_string(pair->public_key));
    json_set(json, "secret", json_string(pair->secret_key));
    if (server_key)
        json_set(json, "server", json_string(server_key));
    Status status = write_private(folder, name, json, diagnostic);
    json_destroy(&json);
    free(name);
    return status;
}

static Status write_allowed(const char *folder, const AllowList *list, Diagnostic *diagnostic)
{
    Json *json = json_object();
    for (int role = ROLE_FIRST; role <= ROLE_LAST; role++) {
        Json *keys = json_array();
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].role == (KeyRole)role)
                json_append(keys, json_string(list->items[i].public_key));
        json_set(json, role_names[role], keys);
    }
    Status status = write_private(folder, "allowed.json", json, diagnostic);
    json_destroy(&json);
    return status;
}

static Status write_set(const char *folder, const KeySet *set, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(write_key(folder, "server", &set->server, NULL, diagnostic));
    for (int role = ROLE_FIRST; role <= ROLE_LAST; role++)
        TRY(write_key(folder, role_names[role], &set->clients[role].pair, set->server.public_key, diagnostic));
    TRY(write_allowed(folder, &set->allowed, diagnostic));
    TRY(folder_sync(file_system_posix(), folder, diagnostic));
out:
    return status;
}

/* Gives the finished folder its name. A folder of keys is never empty, so a rename onto one fails: two who make keys at once get one set. */
static Status publish_set(const char *made, const char *folder, bool replace, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *parent = path_folder(folder), *old = memory_format("%s.old", made);
    if (replace && rename(folder, old) != 0 && errno != ENOENT)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot put %s aside: %s", folder, strerror(errno));
    if (rename(made, folder) != 0) {
        if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
            TRY_FAIL(diagnostic, STATUS_EXISTS,
                     "%s exists already; --force replaces its keys, and none of them is worth anything then", folder);
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot create %s: %s", folder, strerror(errno));
    }
    TRY(folder_remove_tree(old, diagnostic));
    TRY(folder_sync(file_system_posix(), parent, diagnostic));
out:
    free(old);
    free(parent);
    return status;
}

static Status save_set(const char *folder, const KeySet *set, bool replace, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *made = memory_format("%s.new-XXXXXX", folder);
    if (!mkdtemp(made)) { /* 0700 */
        status = FAIL(diagnostic, status_from_errno(errno), "cannot create a folder beside %s: %s", folder, strerror(errno));
        free(made);
        return status;
    }
    TRY(write_set(made, set, diagnostic));
    TRY(publish_set(made, folder, replace, diagnostic));
out:
    if (status != STATUS_OK && folder_remove_tree(made, NULL) != STATUS_OK)
        LOG_WARNING("the unfinished folder %s cannot be removed", made);
    free(made);
    return status;
}

static Status new_client(KeySet *set, KeyRole role, Diagnostic *diagnostic)
{
    ClientKey *client = &set->clients[role];
    client->role = role;
    memcpy(client->server_key, set->server.public_key, KEY_TEXT_SIZE);
    Status status = socket_make_keys(&client->pair, diagnostic);
    if (status != STATUS_OK)
        return status;
    if (set->allowed.count == ALLOWED_KEY_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "more than %d keys", ALLOWED_KEY_LIMIT);
    set->allowed.items[set->allowed.count].role = role;
    memcpy(set->allowed.items[set->allowed.count++].public_key, client->pair.public_key, KEY_TEXT_SIZE);
    return STATUS_OK;
}

Status keys_create(const char *folder, bool replace, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    KeySet set = {0};
    if (!replace && path_exists(folder))
        TRY_FAIL(diagnostic, STATUS_EXISTS, "%s exists already; --force replaces its keys, and none of them is worth anything then",
                 folder);
    TRY(socket_make_keys(&set.server, diagnostic));
    for (int role = ROLE_FIRST; role <= ROLE_LAST; role++)
        TRY(new_client(&set, (KeyRole)role, diagnostic));
    TRY(save_set(folder, &set, replace, diagnostic));
out:
    keys_forget(&set, sizeof set);
    return status;
}

static Status read_set(const char *folder, KeySet *set, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *path = NULL;
    TRY(keys_read_server(folder, &set->server, diagnostic));
    TRY(keys_read_allowed(folder, &set->allowed, diagnostic));
    for (int role = ROLE_FIRST; role <= ROLE_LAST; role++) {
        free(path);
        path = memory_format("%s/%s.key", folder, role_names[role]);
        TRY(keys_read_client(path, &set->clients[role], diagnostic));
    }
out:
    free(path);
    return status;
}

Status keys_renew(const char *folder, KeyRole role, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    KeySet set = {0};
    size_t kept = 0;
    TRY(read_set(folder, &set, diagnostic));
    for (size_t i = 0; i < set.allowed.count; i++)
        if (set.allowed.items[i].role != role)
            set.allowed.items[kept++] = set.allowed.items[i];
    set.allowed.count = kept;
    TRY(new_client(&set, role, diagnostic));
    TRY(save_set(folder, &set, true, diagnostic));
out:
    keys_forget(&set, sizeof set);
    return status;
}
