/* nersweep keys: what coordinator, workers and readers on several machines prove to each other who they are with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/sweep_start.h"
#include "core/io/file.h"
#include "proto/keys.h"

typedef struct KeysFlags {
    char *out, *renew;
    bool force, json;
} KeysFlags;
static const OptionDescriptor keys_descriptors[] = {
    FLAG_STRING(KeysFlags, out, "folder for the keys instead of keys/ in the sweep's folder; needs no SWEEP"),
    FLAG_STRING(KeysFlags, renew,
                "a new key for one role (worker, reader, operator) of keys that are there; the old one is refused from then on"),
    FLAG_BOOLEAN(KeysFlags, force, "replace keys that are there: all of them are refused, also by a coordinator that runs"),
    FLAG_BOOLEAN(KeysFlags, json, "print what was made as JSON"),
};
static const OptionTable keys_table = {"Options", keys_descriptors, sizeof keys_descriptors / sizeof keys_descriptors[0],
                                       sizeof(KeysFlags)};

/* The sweep need not have begun. */
static Status find_folder(const KeysFlags *flags, const char *argument, char **folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Sweep *sweep = NULL;
    StringArray none = {0};
    char *sweep_folder = NULL;
    if (flags->out) {
        *folder = path_absolute(flags->out);
        goto out;
    }
    if (path_is_folder(argument))
        sweep_folder = path_absolute(argument);
    else {
        TRY(sweep_start_read(&sweep, argument, &none, diagnostic));
        sweep_folder = path_join(sweep->storage_path, sweep->name);
    }
    *folder = keys_folder_of(sweep_folder);
out:
    free(sweep_folder);
    sweep_destroy(&sweep);
    return status;
}

static Status make_keys(const KeysFlags *flags, const char *folder, KeyRole role, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *parent = path_folder(folder);
    if (flags->renew)
        TRY(keys_renew(folder, role, diagnostic));
    else {
        TRY(folder_create(file_system_posix(), parent, diagnostic));
        TRY(keys_create(folder, flags->force, diagnostic));
    }
out:
    free(parent);
    return status;
}

static void print_made(const KeysFlags *flags, const char *folder)
{
    if (flags->json) {
        Json *json = json_object();
        json_set(json, "keys", json_string(folder));
        json_set(json, "renewed", flags->renew ? json_string(flags->renew) : json_null());
        command_print_json(&json, JSON_COMPACT);
        return;
    }
    if (flags->renew) {
        printf("%s/%s.key is new; the one before is refused from now on\n", folder, flags->renew);
        return;
    }
    printf("made keys in %s\n"
           "  server.key    stays with the coordinator, and so does allowed.json, the list of keys that it lets in\n"
           "  worker.key    nersweep-worker --key FILE: takes trials and reports\n"
           "  reader.key    nersweep status|watch --key FILE: sees everything, changes nothing\n"
           "  operator.key  as a reader, and may pause, resume and cancel\n"
           "Whoever may read the sweep's folder as its owner needs no --key: they are found there.\n",
           folder);
}

static int keys_run(const Command *command, int argc, char **argv)
{
    KeysFlags flags = {0};
    OptionBinding binding = {&keys_table, &flags};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    KeyRole role = KEY_ROLE_NONE;
    char *folder = NULL;
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0 && positional.count != (flags.out ? 0 : 1))
        code = command_usage_error(command, flags.out ? "with --out no sweep is expected" : "one sweep is expected, or --out DIR");
    if (code < 0 && flags.renew && !key_role_parse(flags.renew, &role))
        code = command_usage_error(command, "--renew %s: expected worker, reader or operator", flags.renew);
    if (code < 0 && flags.renew && flags.force)
        code = command_usage_error(command, "--force replaces all keys and --renew one of them: say which");
    if (code >= 0)
        goto out;
    code = 0;
    if (find_folder(&flags, positional.count ? positional.items[0] : NULL, &folder, &diagnostic) != STATUS_OK ||
        make_keys(&flags, folder, role, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    else
        print_made(&flags, folder);
out:
    free(folder);
    array_free(&positional);
    options_free(&keys_table, &flags);
    return code;
}

const Command command_keys = {"keys", "SWEEP.yaml|FOLDER [--renew ROLE] [--force]",
                              "keys for a coordinator that other machines can reach", keys_run};
