/* nersweep doctor: what of this machine nersweep can use, and what to do about what is missing. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/numerics_view.h"
#include "cli/process.h"
#include "core/io/file.h"
#include "kernels/backend.h"

typedef struct DoctorFlags {
    char *path;
    bool numerics, json;
} DoctorFlags;
static const OptionDescriptor doctor_descriptors[] = {
    FLAG_STRING(DoctorFlags, path, "folder for sweeps, whose disk is looked at; default the current one"),
    FLAG_BOOLEAN(DoctorFlags, numerics,
                 "only this: run every operation on every level of this processor and with the BLAS; exit 1 when one is wrong"),
    FLAG_BOOLEAN(DoctorFlags, json, "print one JSON object"),
};
static const OptionTable doctor_table = {"Options", doctor_descriptors, sizeof doctor_descriptors / sizeof doctor_descriptors[0],
                                         sizeof(DoctorFlags)};

typedef struct Findings {
    Json *json;
    bool as_json;
    int problems;
} Findings;

/* Returns the finding as JSON, which findings own. */
static Json *found(Findings *findings, const char *what, bool good, const char *text, const char *advice)
{
    Json *entry = json_object();
    json_set(entry, "ok", json_boolean(good));
    json_set(entry, "found", json_string(text));
    if (!good) {
        json_set(entry, "advice", json_string(advice));
        findings->problems++;
    }
    json_set(findings->json, what, entry);
    if (!findings->as_json)
        printf("%-10s %-4s %s%s%s\n", what, good ? "ok" : "--", text, good ? "" : ": ", good ? "" : advice);
    return entry;
}

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    char copy[8192], *rest = copy;
    snprintf(copy, sizeof copy, "%s", path ? path : "");
    for (char *folder; (folder = strsep(&rest, ":")) != NULL;) {
        char file[PATH_MAX];
        snprintf(file, sizeof file, "%s/%s", folder, program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static void examine_backend(Findings *findings)
{
    const Backend *backend = NULL;
    BackendDevice *device = NULL;
    Diagnostic diagnostic = {0};
    char text[512];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(text, sizeof text, "%ld processors", processors);
    found(findings, "cpu", processors > 0, text, "the system tells no number of processors");
    BackendOptions options = {.thread_count = (int)processors};
    if (backend_open(&backend, "cpu", &diagnostic) == STATUS_OK &&
        backend->device_open(&device, &options, &diagnostic) == STATUS_OK) {
        char description[256];
        bool quicker = backend->product_type(device) == DEVICE_BF16;
        backend->device_describe(device, description, sizeof description);
        snprintf(text, sizeof text, "%s; %s", description,
                 quicker ? "quicker in bf16, which precision auto takes" : "not quicker in bf16, so that precision auto is fp32");
        backend->device_close(&device);
        json_set(found(findings, "backend", true, text, ""), "bf16", json_boolean(quicker));
    } else
        found(findings, "backend", false, diagnostic.message,
              "build the project whole and keep nersweep-backend-cpu.so beside nersweep");
}

static void examine_programs(Findings *findings)
{
    char *worker = NULL;
    Diagnostic diagnostic = {0};
    bool there = process_worker_path(&worker, &diagnostic) == STATUS_OK;
    found(findings, "worker", there, there ? worker : diagnostic.message, "keep nersweep-worker beside nersweep");
    free(worker);
    bool mpi = on_path("mpirun");
    found(findings, "mpi", mpi, mpi ? "mpirun is on PATH" : "no mpirun on PATH",
          "needed for more than one rank: install Open MPI (Debian: openmpi-bin)");
    bool slurm = on_path("sbatch");
    found(findings, "slurm", true, slurm ? "sbatch is on PATH" : "no Slurm here; only needed on a cluster", "");
    bool gpu = access("/dev/nvidiactl", F_OK) == 0;
    found(findings, "gpu", true, gpu ? "an NVIDIA driver is there; this version computes on CPUs" : "none; CPUs are used", "");
}

static void examine_limits(Findings *findings, const char *path)
{
    char text[512];
    uint64_t bytes = 0;
    Diagnostic diagnostic = {0};
    struct rlimit limit;
    if (path_free_bytes(path, &bytes, &diagnostic) == STATUS_OK) {
        snprintf(text, sizeof text, "%.1f GB free at %s", (double)bytes / 1e9, path);
        found(findings, "disk", bytes > 5000000000u, text,
              "checkpoints need about 4 times the model's size per trial: free some space or set storage.path");
    } else
        found(findings, "disk", false, diagnostic.message, "name a folder that is there with --path");
    bool local = path_require_local(path, &diagnostic) == STATUS_OK;
    found(findings, "storage", true,
          local ? "a local file system" : "a network file system: shards are copied to each node's local disk", "");
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(text, sizeof text, "%llu open files", (unsigned long long)limit.rlim_cur);
    found(findings, "limits", limit.rlim_cur >= 1024, text, "ulimit -n 4096");
    long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGE_SIZE);
    double memory_gb = (double)pages * (double)page_size / 1e9;
    snprintf(text, sizeof text, "%.1f GB", memory_gb);
    found(findings, "memory", memory_gb > 4, text, "BERT-base needs about 4 GB per worker group");
}

static int numerics_run(bool as_json)
{
    size_t count, wrong;
    Diagnostic diagnostic = {0};
    Status status = numerics_examine(as_json, &count, &wrong, &diagnostic);
    if (status == STATUS_OK && wrong > 0)
        status = FAIL(&diagnostic, STATUS_MISMATCH, "%zu of %zu ways to compute here %s wrong: what to do stands with each", wrong,
                      count, wrong == 1 ? "is" : "are");
    return status == STATUS_OK ? 0 : command_fail(&diagnostic);
}

static int doctor_run(const Command *command, int argc, char **argv)
{
    DoctorFlags flags = {0};
    OptionBinding binding = {&doctor_table, &flags};
    PositionalArray positional = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0 && positional.count)
        code = command_usage_error(command, "%s is not expected here", positional.items[0]);
    if (code < 0 && flags.numerics) {
        code = numerics_run(flags.json);
    } else if (code < 0) {
        Findings findings = {.json = json_object(), .as_json = flags.json};
        examine_backend(&findings);
        examine_programs(&findings);
        examine_limits(&findings, flags.path ? flags.path : ".");
        if (flags.json)
            command_print_json(&findings.json, JSON_COMPACT);
        json_destroy(&findings.json);
        code = findings.problems ? 1 : 0;
    }
    array_free(&positional);
    options_free(&doctor_table, &flags);
    return code;
}

const Command command_doctor = {"doctor", "[--path DIR] [--numerics] [--json]",
                                "what of this machine can be used, and what to do about what is missing", doctor_run};
