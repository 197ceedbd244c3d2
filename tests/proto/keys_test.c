#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "proto/keys.h"

static char folder[64], keys[80];
static const char *const files[] = {"server.key", "worker.key", "reader.key", "operator.key", "allowed.json"};
enum { FILE_COUNT = sizeof files / sizeof *files };

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    strcpy(folder, "/tmp/nersweep-keys-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(keys, sizeof keys, "%s/keys", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(folder_remove_tree(folder, NULL), STATUS_OK);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", keys, name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_mode & 07777;
}

static ClientKey client_key(const char *name)
{
    ClientKey key;
    Diagnostic diagnostic = {0};
    if (keys_read_client(path_of(name), &key, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    return key;
}

static void keys_are_made_whole_and_for_their_owner_alone(void **state)
{
    (void)state;
    KeyPair server;
    AllowList list;
    StringArray names = {0};
    mode_t before = umask(0); /* whatever the user's is */
    assert_int_equal(keys_create(keys, false, NULL), STATUS_OK);
    umask(before);
    assert_int_equal(mode_of(keys), 0700);
    for (size_t i = 0; i < FILE_COUNT; i++)
        assert_int_equal(mode_of(path_of(files[i])), 0600);
    assert_int_equal(folder_list(folder, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 1); /* nothing unfinished beside it */
    string_array_free(&names);
    assert_int_equal(keys_read_server(keys, &server, NULL), STATUS_OK);
    assert_int_equal(keys_read_allowed(keys, &list, NULL), STATUS_OK);
    assert_int_equal(list.count, 3);
    for (int role = KEY_ROLE_WORKER; role <= KEY_ROLE_OPERATOR; role++) {
        ClientKey key = client_key(files[role]);
        assert_int_equal(key.role, role);
        assert_string_equal(key.server_key, server.public_key);
        assert_int_equal(allow_list_role(&list, key.pair.public_key), role);
        assert_string_not_equal(key.pair.secret_key, server.secret_key);
    }
    assert_int_equal(allow_list_role(&list, server.public_key), KEY_ROLE_NONE);
}

static void keys_that_are_there_are_only_replaced_by_force(void **state)
{
    (void)state;
    Diagnostic diagnostic = {0};
    StringArray names = {0};
    assert_int_equal(keys_create(keys, false, NULL), STATUS_OK);
    ClientKey first = client_key("worker.key");
    assert_int_equal(keys_create(keys, false, &diagnostic), STATUS_EXISTS);
    assert_non_null(strstr(diagnostic.message, "--force"));
    assert_string_equal(client_key("worker.key").pair.secret_key, first.pair.secret_key);
    assert_int_equal(keys_create(keys, true, NULL), STATUS_OK);
    assert_string_not_equal(client_key("worker.key").pair.secret_key, first.pair.secret_key);
    assert_int_equal(folder_list(folder, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 1); /* the old ones are gone */
    string_array_free(&names);
}

static void renewing_one_role_leaves_the_others(void **state)
{
    (void)state;
    AllowList list;
    assert_int_equal(keys_create(keys, false, NULL), STATUS_OK);
    ClientKey worker = client_key("worker.key"), reader = client_key("reader.key");
    assert_int_equal(keys_renew(keys, KEY_ROLE_READER, NULL), STATUS_OK);
    ClientKey renewed = client_key("reader.key");
    assert_int_equal(keys_read_allowed(keys, &list, NULL), STATUS_OK);
    assert_int_equal(list.count, 3);
    assert_int_equal(allow_list_role(&list, reader.pair.public_key), KEY_ROLE_NONE);
    assert_int_equal(allow_list_role(&list, renewed.pair.public_key), KEY_ROLE_READER);
    assert_int_equal(allow_list_role(&list, worker.pair.public_key), KEY_ROLE_WORKER);
    assert_string_equal(client_key("worker.key").pair.secret_key, worker.pair.secret_key);
    assert_string_equal(renewed.server_key, reader.server_key);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0644, 0640, 0604, 0660, 0620, 0601};
    ClientKey key;
    KeyPair server;
    AllowList list;
    Diagnostic diagnostic = {0};
    assert_int_equal(keys_create(keys, false, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        for (size_t k = 0; k < FILE_COUNT; k++)
            assert_int_equal(chmod(path_of(files[k]), open_modes[i]), 0);
        assert_int_equal(keys_read_client(path_of("worker.key"), &key, &diagnostic), STATUS_PERMISSION);
        assert_non_null(strstr(diagnostic.message, "nersweep keys --force"));
        assert_int_equal(key.pair.secret_key[0], '\0');
        assert_int_equal(keys_read_server(keys, &server, NULL), STATUS_PERMISSION);
        assert_int_equal(keys_read_allowed(keys, &list, NULL), STATUS_PERMISSION);
    }
    assert_int_equal(chmod(path_of("worker.key"), 0400), 0);
    assert_int_equal(keys_read_client(path_of("worker.key"), &key, NULL), STATUS_OK);
    if (geteuid() == 0) { /* only root can give a file away */
        assert_int_equal(chown(path_of("worker.key"), 1, 1), 0);
        assert_int_equal(keys_read_client(path_of("worker.key"), &key, &diagnostic), STATUS_PERMISSION);
        assert_non_null(strstr(diagnostic.message, "another user"));
    }
    assert_int_equal(keys_read_client(keys, &key, NULL), STATUS_INVALID_INPUT); /* a folder */
    assert_int_equal(keys_read_client(path_of("absent.key"), &key, NULL), STATUS_NOT_FOUND);
    assert_int_equal(keys_read_client("/dev/zero", &key, NULL), STATUS_INVALID_INPUT);
}

static void what_is_no_key_file_is_refused_with_its_place(void **state)
{
    (void)state;
#define K "0123456789012345678901234567890123456789"
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"role\": \"worker\"}",
        "{\"role\": \"king\", \"public\": \"" K "\", \"secret\": \"" K "\", \"server\": \"" K "\"}",
        "{\"role\": \"server\", \"public\": \"" K "\", \"secret\": \"" K "\", \"server\": \"" K "\"}",
        "{\"role\": \"worker\", \"public\": \"" K "0\", \"secret\": \"" K "\", \"server\": \"" K "\"}",
        "{\"role\": \"worker\", \"public\": \"" K "\", \"secret\": \"short\", \"server\": \"" K "\"}",
        "{\"role\": \"worker\", \"public\": \"" K "\", \"secret\": \"" K "\", \"server\": 5}",
        "{\"role\": \"worker\", \"public\": \"" K "\", \"secret\": \"" K "\"}",
        "{\"role\": \"worker\", \"public\": \"~~234567890123456789012345678901234567890\", \"secret\": \"" K "\", \"server\": \"" K
        "\"}",
    };
    static const char *const bad_lists[] = {
        "",
        "[]",
        "{\"king\": []}",
        "{\"worker\": 5}",
        "{\"worker\": [5]}",
        "{\"worker\": [\"short\"]}",
        "{\"worker\": [\"" K "\", \"" K "\"]}",
        "{\"worker\": [\"" K "\"], \"reader\": [\"" K "\"]}",
    };
    ClientKey key;
    AllowList list;
    Diagnostic diagnostic;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        diagnostic = (Diagnostic){0};
        assert_int_equal(client_key_parse(&key, bad[i], strlen(bad[i]), "my.key", &diagnostic), STATUS_INVALID_INPUT);
        assert_true(strstr(diagnostic.message, "my.key") || strstr(diagnostic.input_file, "my.key"));
    }
    for (size_t i = 0; i < sizeof bad_lists / sizeof *bad_lists; i++) {
        assert_int_equal(allow_list_parse(&list, bad_lists[i], strlen(bad_lists[i]), "list", &diagnostic), STATUS_INVALID_INPUT);
        assert_int_equal(list.count, 0);
    }
    const char good[] = "{\"role\": \"operator\", \"public\": \"" K "\", \"secret\": \"" K "\", \"server\": \"" K "\"}";
    assert_int_equal(client_key_parse(&key, good, strlen(good), "my.key", NULL), STATUS_OK);
    assert_int_equal(key.role, KEY_ROLE_OPERATOR);
#undef K
}

static void each_role_may_send_what_it_is_for_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        KeyRole role;
        unsigned may; /* bits: message types */
        bool feed;
    } expected[] = {
        {KEY_ROLE_NONE, 0, false},
        {KEY_ROLE_WORKER, 1u << MESSAGE_HELLO | 1u << MESSAGE_HEARTBEAT | 1u << MESSAGE_REPORT | 1u << MESSAGE_FINISHED, false},
        {KEY_ROLE_READER, 1u << MESSAGE_STATUS_REQUEST, true},
        {KEY_ROLE_OPERATOR, 1u << MESSAGE_STATUS_REQUEST | 1u << MESSAGE_CONTROL, true},
        {KEY_ROLE_LOCAL, ~0u, true},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        for (int type = MESSAGE_HELLO; type < MESSAGE_TYPE_LIMIT; type++)
            assert_int_equal(key_role_may_send(expected[i].role, (MessageType)type), expected[i].may >> type & 1);
        assert_int_equal(key_role_may_subscribe(expected[i].role), expected[i].feed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_made_whole_and_for_their_owner_alone), TEST(keys_that_are_there_are_only_replaced_by_force),
        TEST(renewing_one_role_leaves_the_others),           TEST(a_key_that_others_may_read_is_refused),
        TEST(what_is_no_key_file_is_refused_with_its_place), cmocka_unit_test(each_role_may_send_what_it_is_for_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
