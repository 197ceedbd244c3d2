#include "cli/hub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/io/file.h"
#include "core/io/hash.h"
#include "core/io/http.h"
#include "core/io/json.h"

enum {
    TAG_SIZE = 256,
    COMMIT_SIZE = 72,
    REDIRECT_LIMIT = 10,
    CONNECT_TIMEOUT_LIMIT_S = 30,
    STALL_BYTES_PER_S = 1000,
    NOTES_LIMIT_BYTES = 4096,
    REPOSITORY_LIMIT = 200,
    REVISION_LIMIT = 200,
    TOKEN_LIMIT = 1024,
    TOTAL_TRIES = 200,        /* of one file, however much comes each time */
    GAIN_BYTES = 1024 * 1024, /* so much more than before makes failures count anew */
    DELAY_LIMIT_S = 60,
    RETRY_AFTER_LIMIT_S = 120,
};

struct Hub {
    HubSource source;
    HubSettings settings;
    HttpClient *client;
    char commit[COMMIT_SIZE];
};

/* One file on its way. */
typedef struct Download {
    Hub *hub;
    const char *name;
    char *path, *part_path, *notes_path;
    uint64_t size_limit;
    int file; /* the part; -1: closed */
    uint64_t have;
    /* what an earlier answer said of the part */
    char noted_tag[TAG_SIZE];
    bool noted_total_known;
    uint64_t noted_total;
    /* what this answer says */
    char linked_tag[TAG_SIZE], tag[TAG_SIZE], modified[TAG_SIZE], commit[COMMIT_SIZE], error_code[TAG_SIZE];
    int tag_redirects;
    bool linked_total_known, total_known, begun, from_anew, wrong_hash;
    uint64_t linked_total, total;
    int retry_after_s;
    Progress progress;
    char detail[TAG_SIZE];
} Download;

/* -- the hub */

static bool is_of(const char *text, const char *others, size_t limit)
{
    size_t size = strlen(text);
    if (size == 0 || size > limit || strstr(text, "..") || text[0] == '/' || text[size - 1] == '/' || text[0] == '-')
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(others, *c))
            return false;
    return true;
}

static Status check_source(const HubSource *source, Diagnostic *diagnostic)
{
    const char *slash = strchr(source->repository, '/');
    if (!is_of(source->repository, "-_./", REPOSITORY_LIMIT) || (slash && strchr(slash + 1, '/')))
        return FAIL(diagnostic, STATUS_USAGE, "\"%s\" is no repository: it is written owner/name", source->repository);
    if (!is_of(source->revision, "-_./", REVISION_LIMIT))
        return FAIL(diagnostic, STATUS_USAGE, "\"%s\" is no revision: a branch, a tag or a commit is", source->revision);
    if (strncmp(source->endpoint, "http://", 7) != 0 && strncmp(source->endpoint, "https://", 8) != 0)
        return FAIL(diagnostic, STATUS_USAGE, "HF_ENDPOINT must begin with https:// or http://");
    for (const char *c = source->token ? source->token : ""; *c; c++)
        if (*c <= ' ' || *c > '~' || c - source->token > TOKEN_LIMIT)
            return FAIL(diagnostic, STATUS_USAGE, "HF_TOKEN has characters that no token has");
    return STATUS_OK;
}

Status hub_open(Hub **hub, const HubSource *source, const HubSettings *settings, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *hub = NULL;
    Hub *made = memory_allocate(1, sizeof *made);
    made->source = *source;
    made->settings = *settings;
    HttpSettings http = {.connect_timeout_s =
                             settings->timeout_s < CONNECT_TIMEOUT_LIMIT_S ? settings->timeout_s : CONNECT_TIMEOUT_LIMIT_S,
                         .stall_timeout_s = settings->timeout_s,
                         .stall_bytes_per_s = STALL_BYTES_PER_S,
                         .redirect_limit = REDIRECT_LIMIT,
                         .interrupted = settings->interrupted};
    TRY(check_source(source, diagnostic));
    TRY(http_client_create(&made->client, &http, diagnostic));
    *hub = made;
    made = NULL;
out:
    hub_close(&made);
    return status;
}

void hub_close(Hub **hub)
{
    if (!*hub)
        return;
    http_client_destroy(&(*hub)->client);
    free(*hub);
    *hub = NULL;
}

const char *hub_commit(const Hub *hub)
{
    return hub->commit;
}

void hub_set_commit(Hub *hub, const char *commit)
{
    snprintf(hub->commit, sizeof hub->commit, "%s", commit);
}

static char *file_url(const HubSource *source, const char *name)
{
    Text url = {0};
    text_format(&url, "%s/%s/resolve/", source->endpoint, source->repository);
    for (const char *c = source->revision; *c; c++) /* a branch may have a slash in its name */
        text_append_string(&url, *c == '/' ? "%2F" : (const char[]){*c, '\0'});
    text_append_string(&url, "/");
    for (const char *c = name; *c; c++)
        text_format(&url, isalnum((unsigned char)*c) || strchr("-_.", *c) ? "%c" : "%%%02X", (unsigned char)*c);
    return text_take(&url);
}

/* -- what the answers say */

/* Without quotes and the mark of a weak tag. */
static void copy_tag(char target[TAG_SIZE], const char *value)
{
    if (strncmp(value, "W/", 2) == 0)
        value += 2;
    size_t size = strlen(value);
    if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        value++;
        size -= 2;
    }
    snprintf(target, TAG_SIZE, "%.*s", (int)size, value);
}

static bool is_hex(const char *text, size_t size)
{
    return strlen(text) == size && strspn(text, "0123456789abcdefABCDEF") == size;
}

static void on_header(void *context, int redirects, const char *name, const char *value)
{
    Download *download = context;
    if (strcmp(name, "x-linked-etag") == 0 && !download->linked_tag[0]) {
        copy_tag(download->linked_tag, value);
    } else if (strcmp(name, "x-linked-size") == 0 && !download->linked_total_known) {
        char *end;
        errno = 0;
        unsigned long long size = strtoull(value, &end, 10);
        download->linked_total_known = isdigit((unsigned char)value[0]) && *end == '\0' && errno == 0;
        download->linked_total = size;
    } else if (strcmp(name, "etag") == 0 && (!download->tag[0] || redirects == download->tag_redirects)) {
        copy_tag(download->tag, value); /* the hub's own rather than a store's behind it */
        download->tag_redirects = redirects;
    } else if (strcmp(name, "last-modified") == 0) {
        copy_tag(download->modified, value);
    } else if (strcmp(name, "x-repo-commit") == 0 && redirects == 0) {
        snprintf(download->commit, sizeof download->commit, "%s", is_of(value, "", COMMIT_SIZE - 1) ? value : "");
    } else if (strcmp(name, "x-error-code") == 0) {
        copy_tag(download->error_code, value);
    }
}

/* What tells one content of the file from another. */
static const char *content_tag(const Download *download)
{
    return download->linked_tag[0] ? download->linked_tag : download->tag[0] ? download->tag : download->modified;
}

/* The SHA-256 that the hub gives, or NULL. */
static const char *wanted_hash(const Download *download)
{
    const char *tag = download->linked_tag[0] ? download->linked_tag : download->tag;
    return is_hex(tag, SHA256_HEX_SIZE - 1) ? tag : NULL;
}

static Status find_total(Download *download, const HttpAnswer *answer, Diagnostic *diagnostic)
{
    bool said = answer->code == 206   ? answer->range_total_known
                : answer->code == 416 ? answer->range_total_known
                                      : answer->content_length_known;
    uint64_t total = answer->code == 200 ? answer->content_length : answer->range_total;
    if (said && download->linked_total_known && total != download->linked_total)
        return FAIL(diagnostic, STATUS_CORRUPT, "the hub says %llu bytes, the place that it points to says %llu",
                    (unsigned long long)download->linked_total, (unsigned long long)total);
    download->total_known = said || download->linked_total_known;
    download->total = said ? total : download->linked_total;
    if (!download->total_known && !answer->chunked && !wanted_hash(download))
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "the server says neither how long the file is nor where it ends");
    if (download->total_known && download->total > download->size_limit)
        return FAIL(diagnostic, STATUS_LIMIT, "%llu bytes are over the limit of %llu", (unsigned long long)download->total,
                    (unsigned long long)download->size_limit);
    return STATUS_OK;
}

static Status check_commit(Download *download, Diagnostic *diagnostic)
{
    Hub *hub = download->hub;
    if (!download->commit[0])
        return STATUS_OK;
    if (!hub->commit[0])
        snprintf(hub->commit, sizeof hub->commit, "%s", download->commit);
    if (strcmp(hub->commit, download->commit) != 0)
        return FAIL(diagnostic, STATUS_MISMATCH, "%s moved from commit %.12s to %.12s in the meantime; start again",
                    hub->source.revision, hub->commit, download->commit);
    return STATUS_OK;
}

/* -- the part */

static void close_part(Download *download)
{
    if (download->file >= 0)
        close(download->file);
    download->file = -1;
}

static void discard_part(Download *download)
{
    close_part(download);
    unlink(download->part_path);
    unlink(download->notes_path);
    download->have = 0;
    download->noted_tag[0] = '\0';
    download->noted_total_known = false;
}

/* Finds out how much is there from before, and of what; without notes it is of nothing. */
static void read_part(Download *download)
{
    Json *notes = NULL;
    struct stat about;
    bool good = stat(download->part_path, &about) == 0 && S_ISREG(about.st_mode) &&
                json_read_file(&notes, download->notes_path, NOTES_LIMIT_BYTES, NULL) == STATUS_OK &&
                json_string_value(json_get(notes, "tag"));
    if (good) {
        int64_t total = json_integer_value(json_get(notes, "size"), -1);
        snprintf(download->noted_tag, TAG_SIZE, "%s", json_string_value(json_get(notes, "tag")));
        download->noted_total_known = total >= 0;
        download->noted_total = total >= 0 ? (uint64_t)total : 0;
        download->have = (uint64_t)about.st_size;
        good = !download->noted_total_known || download->have <= download->noted_total;
    }
    json_destroy(&notes);
    if (!good)
        discard_part(download);
}

static Status write_notes(const Download *download, Diagnostic *diagnostic)
{
    Json *notes = json_object();
    json_set(notes, "tag", json_string(content_tag(download)));
    if (download->total_known)
        json_set(notes, "size", json_integer((int64_t)download->total));
    char *text = json_text(notes, JSON_COMPACT);
    Status status = file_write_durable(file_system_posix(), download->notes_path, text, strlen(text), diagnostic);
    free(text);
    json_destroy(&notes);
    return status;
}

/* Is the rest that comes the rest of what is there? */
static bool same_content(const Download *download)
{
    return strcmp(download->noted_tag, content_tag(download)) == 0 && download->noted_total_known == download->total_known &&
           (!download->total_known || download->noted_total == download->total);
}

static Status check_space(const Download *download, Diagnostic *diagnostic)
{
    uint64_t available;
    char *folder = path_folder(download->part_path);
    Status status = path_free_bytes(folder, &available, diagnostic);
    if (status == STATUS_OK && download->total_known && download->total - download->have > available)
        status = FAIL(diagnostic, STATUS_NO_SPACE,
                      "%llu bytes more are needed, %s has no space left for them (%llu free): free some or choose another folder",
                      (unsigned long long)(download->total - download->have), folder, (unsigned long long)available);
    free(folder);
    return status;
}

/* The answer's head is there: decides where its body goes. */
static Status begin_body(Download *download, const HttpAnswer *answer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    download->begun = true;
    TRY(find_total(download, answer, diagnostic));
    TRY(check_commit(download, diagnostic));
    if (answer->code == 206 && (!answer->range_start_known || answer->range_start != download->have || !same_content(download))) {
        download->from_anew = true;
        TRY_FAIL(diagnostic, STATUS_BUSY, "the file has changed on the server since its first part was fetched");
    }
    if (answer->code == 200)
        download->have = 0; /* no part was asked for, or the server gives none */
    TRY(check_space(download, diagnostic));
    TRY(write_notes(download, diagnostic));
    download->file = open(download->part_path, O_WRONLY | O_CREAT | O_CLOEXEC | (download->have == 0 ? O_TRUNC : 0), 0666);
    if (download->file < 0 || lseek(download->file, (off_t)download->have, SEEK_SET) < 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot write %s: %s", download->part_path, strerror(errno));
    snprintf(download->detail, sizeof download->detail, "%s", download->name);
out:
    return status;
}

static Status on_body(void *context, const HttpAnswer *answer, const void *bytes, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Download *download = context;
    if (!download->begun)
        TRY(begin_body(download, answer, diagnostic));
    if (size > (download->total_known ? download->total : download->size_limit) - download->have)
        TRY_FAIL(diagnostic, STATUS_CORRUPT, "more bytes come than the %llu that were said or are taken",
                 (unsigned long long)(download->total_known ? download->total : download->size_limit));
    if (fault_point("fetch.write"))
        TRY_FAIL(diagnostic, STATUS_NO_SPACE, "cannot write %s: no space left on device: free some space or choose another folder",
                 download->part_path);
    TRY(file_write_all(file_system_posix(), download->file, bytes, size, download->part_path, diagnostic));
    download->have += size;
    progress_show(&download->progress, download->have, download->total_known ? download->total : 0, download->detail);
out:
    return status;
}

/* -- one file */

/* All bytes are there: checks them, and gives them their name. */
static Status finish(Download *download, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char hash[SHA256_HEX_SIZE];
    const char *wanted = wanted_hash(download);
    if (download->total_known && download->have != download->total)
        TRY_FAIL(diagnostic, STATUS_UNREACHABLE, "the transfer ended after %llu of %llu bytes", (unsigned long long)download->have,
                 (unsigned long long)download->total);
    TRY(file_fsync(file_system_posix(), download->file, download->part_path, diagnostic));
    close_part(download);
    if (wanted) {
        TRY(sha256_file_hex(download->part_path, hash, diagnostic));
        if (strcasecmp(hash, wanted) != 0) {
            download->wrong_hash = true;
            TRY_FAIL(diagnostic, STATUS_CORRUPT,
                     "the content has the SHA-256 %.16s..., the hub says %.16s...: it was damaged or changed on its way", hash,
                     wanted);
        }
    }
    if (rename(download->part_path, download->path) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot rename %s: %s", download->part_path, strerror(errno));
    unlink(download->notes_path);
    LOG_INFO("%s: %llu bytes%s", download->name, (unsigned long long)download->have, wanted ? ", SHA-256 as the hub says" : "");
out:
    return status;
}

static Status unsatisfied_range(Download *download, const HttpAnswer *answer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(find_total(download, answer, diagnostic));
    if (download->total_known && download->total == download->have && same_content(download)) {
        download->file = open(download->part_path, O_WRONLY | O_CLOEXEC);
        if (download->file < 0)
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", download->part_path, strerror(errno));
        return finish(download, diagnostic);
    }
    download->from_anew = true;
    TRY_FAIL(diagnostic, STATUS_BUSY, "the file has changed on the server since its first part was fetched");
out:
    return status;
}

/* What codes other than success mean. */
static Status judge(Download *download, const HttpAnswer *answer, bool *found, Diagnostic *diagnostic)
{
    const HubSource *source = &download->hub->source;
    download->retry_after_s = answer->retry_after_s;
    if (answer->code == 404 && strcmp(download->error_code, "RepoNotFound") == 0)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "the hub has no repository %s", source->repository);
    if (answer->code == 404 && strcmp(download->error_code, "RevisionNotFound") == 0)
        return FAIL(diagnostic, STATUS_NOT_FOUND, "%s has no revision %s", source->repository, source->revision);
    if (answer->code == 404 || answer->code == 410) {
        *found = false;
        return STATUS_OK;
    }
    if (answer->code == 416 && download->have > 0)
        return unsatisfied_range(download, answer, diagnostic);
    if (answer->code == 401 || answer->code == 403)
        return FAIL(diagnostic, STATUS_PERMISSION, "the hub answers %d: there is no such repository, or %s", answer->code,
                    source->token ? "the token in HF_TOKEN may not read it"
                                  : "it is private or gated; set HF_TOKEN to a token that may read it");
    if (answer->code == 408 || answer->code == 429 || answer->code >= 500)
        return FAIL(diagnostic, STATUS_BUSY, "the server answers %d%s", answer->code,
                    answer->code == 429 ? " (too many requests)" : "");
    return FAIL(diagnostic, STATUS_UNSUPPORTED, "the server answers %d, which is no answer to a download", answer->code);
}

static Status try_once(Download *download, const char *url, bool *found, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    HttpAnswer answer;
    HttpSink sink = {.context = download, .header = on_header, .body = on_body};
    HttpRequest request = {.url = url, .bearer_token = download->hub->source.token};
    download->linked_tag[0] = download->tag[0] = download->modified[0] = download->commit[0] = download->error_code[0] = '\0';
    download->linked_total_known = download->begun = download->from_anew = download->wrong_hash = false;
    download->retry_after_s = 0;
    read_part(download);
    request.range_start = download->have;
    *found = true;
    TRY(http_get(download->hub->client, &request, &sink, &answer, diagnostic));
    if (answer.code != 200 && answer.code != 206) {
        TRY(judge(download, &answer, found, diagnostic));
    } else {
        if (!download->begun) /* an empty file has no body */
            TRY(begin_body(download, &answer, diagnostic));
        TRY(finish(download, diagnostic));
    }
out:
    close_part(download);
    if (download->from_anew || download->wrong_hash || status == STATUS_CORRUPT)
        discard_part(download);
    return status;
}

static Status wait_before_retry(const Hub *hub, double delay_s, Diagnostic *diagnostic)
{
    const Clock *clock = clock_system();
    int64_t end_ns = clock->monotonic_ns(clock->context) + (int64_t)(delay_s * 1e9);
    while (clock->monotonic_ns(clock->context) < end_ns) {
        if (*hub->settings.interrupted)
            return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted");
        clock->sleep_ns(clock->context, 20 * 1000 * 1000);
    }
    return STATUS_OK;
}

static double delay_before(const Download *download, int failures)
{
    double delay_s = download->hub->settings.retry_delay_s;
    for (int i = 1; i < failures && delay_s < DELAY_LIMIT_S; i++)
        delay_s *= 2;
    delay_s = delay_s < DELAY_LIMIT_S ? delay_s : DELAY_LIMIT_S;
    double asked_s = download->retry_after_s < RETRY_AFTER_LIMIT_S ? download->retry_after_s : RETRY_AFTER_LIMIT_S;
    return asked_s > delay_s ? asked_s : delay_s;
}

/* Damage on the way is tried once more, what may pass as often as set; what the server means is believed. */
static bool worth_a_retry(const Download *download, Status status, int damages)
{
    if (download->wrong_hash)
        return damages <= 1;
    return status != STATUS_INTERRUPTED && status_class(status) == STATUS_CLASS_RETRYABLE;
}

static Status try_often(Download *download, const char *url, bool *found, Diagnostic *diagnostic)
{
    int failures = 0, damages = 0;
    uint64_t most = 0;
    for (int tries = 1;; tries++) {
        Diagnostic failure = {0};
        Status status = try_once(download, url, found, &failure);
        if (status == STATUS_OK)
            return STATUS_OK;
        damages += download->wrong_hash;
        failures = download->have > most + GAIN_BYTES ? 1 : failures + 1;
        most = download->have > most ? download->have : most;
        if (!worth_a_retry(download, status, damages) || failures > download->hub->settings.retries || tries >= TOTAL_TRIES) {
            if (tries > 1)
                return FAIL(diagnostic, status, "%s (tried %d times)", failure.message, tries);
            return FAIL(diagnostic, status, "%s", failure.message);
        }
        double delay_s = delay_before(download, failures);
        LOG_WARNING("%s: %s; trying again in %.1f s", download->name, failure.message, delay_s);
        status = wait_before_retry(download->hub, delay_s, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
}

Status hub_fetch_file(Hub *hub, const char *name, const char *folder, uint64_t size_limit, bool *found, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *url = file_url(&hub->source, name);
    Download download = {.hub = hub, .name = name, .size_limit = size_limit, .file = -1, .path = path_join(folder, name)};
    download.part_path = memory_format("%s.part", download.path);
    download.notes_path = memory_format("%s.part.json", download.path);
    *found = true;
    if (path_exists(download.path))
        goto out;
    progress_begin(&download.progress, "fetch");
    status = try_often(&download, url, found, diagnostic);
    progress_end(&download.progress);
    if (status != STATUS_OK)
        diagnostic_prefix(diagnostic, "%s: %s", hub->source.repository, name);
out:
    free(url);
    free(download.path);
    free(download.part_path);
    free(download.notes_path);
    return status;
}
