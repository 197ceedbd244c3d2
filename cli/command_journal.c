/* nersweep journal: care for a sweep's journal on disk. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/sweep_place.h"
#include "coordinator/place.h"
#include "core/io/file.h"
#include "core/store/journal_care.h"
#include "proto/records.h"

typedef struct JournalFlags {
    bool repair, yes, json;
    int64_t keep;
} JournalFlags;
static const OptionDescriptor journal_descriptors[] = {
    FLAG_BOOLEAN(JournalFlags, repair, "check: cut off the torn end of the last segment, after a copy of it; needs --yes"),
    FLAG_BOOLEAN(JournalFlags, yes, "check --repair: really do it"),
    FLAG_INTEGER(JournalFlags, keep, 0, 1000000, "1", "compact: keep so many of the segments that the snapshot stands for"),
    FLAG_BOOLEAN(JournalFlags, json, "check, compact, backup: print one JSON object"),
};
static const OptionTable journal_table = {"Options", journal_descriptors,
                                          sizeof journal_descriptors / sizeof journal_descriptors[0], sizeof(JournalFlags)};

/* What a subcommand works on. */
typedef struct Place {
    char *sweep;   /* NULL: a journal without a sweep around it, as backup makes it */
    char *journal; /* folder */
} Place;

static Status find_place(const char *argument, Place *place, Diagnostic *diagnostic)
{
    *place = (Place){0};
    if (argument && path_is_folder(argument)) {
        char *inside = path_join(argument, "journal");
        bool bare = !path_is_folder(inside);
        free(inside);
        if (bare) {
            place->journal = path_absolute(argument);
            return STATUS_OK;
        }
    }
    Status status = sweep_place_find(argument, &place->sweep, diagnostic);
    if (status == STATUS_OK)
        place->journal = path_join(place->sweep, "journal");
    return status;
}

/* ------------------------------------------------------------------------------------------------ check */

static Json *file_json(const JournalFile *file)
{
    Json *json = json_object();
    json_set(json, "name", json_string(file->name));
    json_set(json, "format", json_integer(file->version));
    json_set(json, "size_bytes", json_integer((int64_t)file->size_bytes));
    json_set(json, "records", json_integer((int64_t)file->records));
    json_set(json, "first_sequence", json_integer((int64_t)file->first_sequence));
    json_set(json, "sealed", json_boolean(file->sealed));
    json_set(json, "covered", json_boolean(file->covered));
    json_set(json, "torn_at", file->torn ? json_integer((int64_t)file->torn_at) : json_null());
    json_set(json, "damage", file->damage.code != STATUS_OK ? json_string(file->damage.message) : json_null());
    return json;
}

static void print_report(const JournalReport *report, bool as_json)
{
    Json *json = json_object(), *files = json_array();
    for (size_t i = 0; i < report->files.count; i++) {
        const JournalFile *file = &report->files.items[i];
        json_append(files, file_json(file));
        if (as_json)
            continue;
        printf("%-22s format %d  %10" PRIu64 " records from %-10" PRIu64 " %12" PRIu64 " bytes%s%s", file->name, file->version,
               file->records, file->first_sequence, file->size_bytes, file->sealed ? ", sealed" : "",
               file->covered ? ", in the snapshot" : "");
        if (file->torn)
            printf(", torn at %" PRIu64 " (whoever opens the journal next cuts that off)", file->torn_at);
        puts(file->damage.code != STATUS_OK ? ", DAMAGED" : "");
    }
    json_set(json, "files", files);
    json_set(json, "sound", json_boolean(report->sound));
    json_set(json, "next_sequence", json_integer((int64_t)report->next_sequence));
    if (as_json)
        command_print_json(&json, JSON_COMPACT);
    else if (report->sound)
        printf("sound: %" PRIu64 " records\n", report->next_sequence - 1);
    json_destroy(&json);
}

static int run_check(const Place *place, const JournalFlags *flags)
{
    JournalReport report;
    Diagnostic diagnostic = {0};
    int code = 0;
    if (journal_check(place->journal, &report, &diagnostic) != STATUS_OK)
        return command_fail(&diagnostic);
    print_report(&report, flags->json);
    for (size_t i = 0; i < report.files.count; i++)
        if (report.files.items[i].damage.code != STATUS_OK)
            code = command_fail(&report.files.items[i].damage);
    journal_report_free(&report);
    return code;
}

static int run_repair(const Place *place, const JournalFlags *flags)
{
    Diagnostic diagnostic = {0};
    char *copy = NULL;
    int lock = -1, code = 0;
    Status status = place->sweep ? place_lock(place->sweep, false, &lock, &diagnostic) : STATUS_OK;
    if (status == STATUS_OK && !flags->yes)
        status = FAIL(&diagnostic, STATUS_USAGE,
                      "--repair changes the journal in %s: say --yes as well (check alone shows what is torn)", place->journal);
    if (status == STATUS_OK)
        status = journal_repair(place->journal, file_system_posix(), &copy, &diagnostic);
    if (status == STATUS_NOT_FOUND)
        printf("%s\n", diagnostic.message);
    else if (status != STATUS_OK)
        code = command_fail(&diagnostic);
    else
        printf("the torn end was cut off; as it was: %s\n", copy);
    free(copy);
    place_unlock(&lock);
    return code ? code : run_check(place, flags);
}

/* ------------------------------------------------------------------------------------------------ dump */

static void set_text(Json *json, const char *key, const char *text)
{
    if (text)
        json_set(json, key, json_string(text));
}

/* JSON that was journaled as text is shown as JSON. */
static void set_nested(Json *json, const char *key, const char *text)
{
    Json *nested = NULL;
    if (text && json_parse(&nested, text, strlen(text), "journal", NULL) == STATUS_OK)
        json_set(json, key, nested);
    else
        set_text(json, key, text);
}

static void set_evaluation(Json *json, const Record *record)
{
    Json *datasets = json_array();
    json_set(json, "evaluation", json_integer((int64_t)record->sequence));
    json_set(json, "step", json_integer(record->step));
    json_set(json, "total_steps", json_integer(record->total_steps));
    json_set(json, "epochs", json_real(record->training_epoch));
    json_set(json, "train_loss", json_real(record->train_loss));
    json_set(json, "learning_rate", json_real(record->learning_rate));
    json_set(json, "score", json_real(record->score));
    for (size_t i = 0; i < record->dataset_count; i++) {
        const DatasetScore *score = &record->datasets[i];
        Json *dataset = json_object();
        json_set(dataset, "name", json_string(score->name));
        json_set(dataset, "f1", json_real(score->f1));
        json_set(dataset, "precision", json_real(score->precision));
        json_set(dataset, "recall", json_real(score->recall));
        json_set(dataset, "loss", json_real(score->loss));
        json_append(datasets, dataset);
    }
    json_set(json, "datasets", datasets);
}

static Json *record_json(uint64_t sequence, const Record *record)
{
    Json *json = json_object();
    json_set(json, "sequence", json_integer((int64_t)sequence));
    json_set(json, "record", json_string(record_type_name(record->type)));
    json_set(json, "type", json_integer(record->type));
    json_set(json, "epoch", json_integer((int64_t)record->epoch));
    json_set(json, "wall_ms", json_integer(record->wall_ms));
    if (record->type != RECORD_SWEEP_OPENED && record->type != RECORD_EPOCH_OPENED)
        json_set(json, "trial", json_integer(record->id.trial));
    if (record->id.fence)
        json_set(json, "fence", json_integer((int64_t)record->id.fence));
    if (record->type == RECORD_TRIAL_CREATED) {
        json_set(json, "configuration", json_integer(record->configuration));
        json_set(json, "seed_index", json_integer(record->seed_index));
    }
    if (record->type == RECORD_ASSIGNED)
        json_set(json, "kind", json_string(record->kind == ASSIGNMENT_TEST ? "test" : "train"));
    if (record->type == RECORD_REPORTED || record->type == RECORD_TEST_SCORED)
        set_evaluation(json, record);
    if (record->type == RECORD_ATTEMPT_ENDED)
        json_set(json, "counts_as_retry", json_boolean(record->counts_as_retry));
    if (record->outcome)
        json_set(json, "outcome", json_integer(record->outcome));
    if (record->control) {
        json_set(json, "control", json_integer(record->control));
        json_set(json, "all_trials", json_boolean(record->all_trials));
    }
    set_nested(json, "json", record->json);
    set_nested(json, "options", record->options_json);
    set_text(json, "identity", record->identity);
    set_text(json, "worker", record->worker);
    set_text(json, "checkpoint", record->checkpoint);
    set_text(json, "reason", record->reason);
    return json;
}

static Status dump_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *diagnostic)
{
    (void)context;
    Record record;
    Status status = record_decode(&record, payload, size, diagnostic);
    if (status != STATUS_OK) {
        diagnostic_prefix(diagnostic, "record %" PRIu64, sequence);
        return status;
    }
    Json *json = record_json(sequence, &record);
    command_print_json(&json, JSON_COMPACT);
    record_free(&record);
    return command_flush(diagnostic);
}

static int run_dump(const Place *place)
{
    Diagnostic diagnostic = {0};
    return journal_read(place->journal, dump_record, NULL, &diagnostic) == STATUS_OK ? 0 : command_fail(&diagnostic);
}

/* ------------------------------------------------------------------------------------------------ compact and backup */

/* Without a coordinator the last segment is sealed first, by an epoch without records. */
static Status seal_last(const Place *place, int *lock, Diagnostic *diagnostic)
{
    Journal *journal = NULL;
    JournalReport report;
    Status status = journal_check(place->journal, &report, diagnostic); /* nothing is made where there is no journal */
    if (status != STATUS_OK)
        return status;
    journal_report_free(&report);
    status = place->sweep ? place_lock(place->sweep, true, lock, diagnostic) : STATUS_OK;
    if (status == STATUS_OK && *lock >= 0)
        status = journal_open(&journal, place->journal, file_system_posix(), NULL, NULL, diagnostic);
    journal_close(&journal);
    return status;
}

static int run_compact(const Place *place, const JournalFlags *flags)
{
    Diagnostic diagnostic = {0};
    JournalCompaction done = {0};
    uint64_t epoch = 0;
    int lock = -1;
    Status status = seal_last(place, &lock, &diagnostic);
    if (status == STATUS_OK)
        status = journal_snapshot_make(place->journal, file_system_posix(), NULL, &epoch, &diagnostic);
    if (status == STATUS_OK)
        status = journal_compact(place->journal, file_system_posix(), flags->keep, &done, &diagnostic);
    place_unlock(&lock);
    if (status != STATUS_OK)
        return command_fail(&diagnostic);
    if (flags->json) {
        Json *json = json_object();
        json_set(json, "snapshot_epoch", json_integer((int64_t)epoch));
        json_set(json, "segments_removed", json_integer((int64_t)done.segments));
        json_set(json, "snapshots_removed", json_integer((int64_t)done.snapshots));
        json_set(json, "freed_bytes", json_integer((int64_t)done.freed_bytes));
        command_print_json(&json, JSON_COMPACT);
    } else if (epoch == 0) {
        puts("nothing to compact yet: the coordinator that runs writes the first segment");
    } else {
        printf("the snapshot stands for epochs 1 to %" PRIu64 "; removed %zu segments and %zu older snapshots, %" PRIu64 " bytes\n",
               epoch, done.segments, done.snapshots, done.freed_bytes);
    }
    return 0;
}

static int run_backup(const Place *place, const char *target, const JournalFlags *flags)
{
    Diagnostic diagnostic = {0};
    if (journal_backup(place->journal, target, file_system_posix(), &diagnostic) != STATUS_OK)
        return command_fail(&diagnostic);
    if (!flags->json) {
        printf("the journal is copied to %s; put it back as the folder journal of a sweep\n", target);
        return 0;
    }
    Json *json = json_object();
    json_set(json, "backup", json_string(target));
    command_print_json(&json, JSON_COMPACT);
    return 0;
}

static int run_action(const Command *command, const PositionalArray *arguments, const JournalFlags *flags)
{
    const char *action = arguments->count ? arguments->items[0] : "";
    bool backup = strcmp(action, "backup") == 0, check = strcmp(action, "check") == 0, dump = strcmp(action, "dump") == 0;
    Diagnostic diagnostic = {0};
    Place place = {0};
    int code;
    if (!backup && !check && !dump && strcmp(action, "compact") != 0)
        return command_usage_error(command, "expected check, dump, compact or backup");
    if (backup ? arguments->count != 3 : arguments->count > 2)
        return command_usage_error(command, backup ? "backup wants a sweep and a new folder" : "one sweep is expected");
    if ((flags->repair || flags->yes) && !check)
        return command_usage_error(command, "--repair and --yes belong to check");
    if (find_place(arguments->count > 1 ? arguments->items[1] : NULL, &place, &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
    else if (check)
        code = flags->repair ? run_repair(&place, flags) : run_check(&place, flags);
    else if (dump)
        code = run_dump(&place);
    else
        code = backup ? run_backup(&place, arguments->items[2], flags) : run_compact(&place, flags);
    free(place.sweep);
    free(place.journal);
    return code;
}

static int journal_run(const Command *command, int argc, char **argv)
{
    JournalFlags flags = {0};
    OptionBinding binding = {&journal_table, &flags};
    PositionalArray positional = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0)
        code = run_action(command, &positional, &flags);
    array_free(&positional);
    return code;
}

const Command command_journal = {"journal", "check|dump|compact|backup [SWEEP|JOURNAL] [NEW-FOLDER] [options]",
                                 "verify, show, pack or copy a sweep's journal", journal_run};
