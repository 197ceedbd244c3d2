#include "cli/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/io/file.h"

Status process_worker_path(char **path, Diagnostic *diagnostic)
{
    const char *given = getenv("NERSWEEP_WORKER");
    char *folder = path_program_folder();
    *path = given ? memory_copy_string(given) : path_join(folder, "nersweep-worker");
    free(folder);
    if (access(*path, X_OK) == 0)
        return STATUS_OK;
    Status status =
        FAIL(diagnostic, STATUS_NOT_FOUND,
             "%s is not there or not executable: nersweep-worker belongs beside nersweep, or name it in NERSWEEP_WORKER", *path);
    free(*path);
    *path = NULL;
    return status;
}

static void run_child(const char *const *argv, pid_t parent)
{
    /* A group of its own: the terminal's ctrl-C reaches us alone, and we pass it on once. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(argv[0], (char *const *)argv); /* POSIX: the strings are not changed */
    dprintf(STDERR_FILENO, "nersweep: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

Status process_run(const char *const *argv, const volatile int *interrupted, int *exit_code, Diagnostic *diagnostic)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot start %s: %s", argv[0], strerror(errno));
    if (child == 0)
        run_child(argv, parent);
    const Clock *clock = clock_system();
    int told = 0, wait_status = 0;
    for (;;) {
        pid_t ended = waitpid(child, &wait_status, WNOHANG);
        if (ended == child)
            break;
        if (ended < 0 && errno != EINTR)
            return FAIL(diagnostic, STATUS_IO, "cannot wait for %s: %s", argv[0], strerror(errno));
        if (*interrupted > told) {
            told = *interrupted;
            kill(told == 1 ? child : -child, told == 1 ? SIGTERM : SIGKILL);
        }
        clock->sleep_ns(clock->context, 20000000);
    }
    *exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    return STATUS_OK;
}

Status process_run_worker(const WorkerJob *job, const volatile int *interrupted, int *exit_code, Diagnostic *diagnostic)
{
    char *worker = NULL, ranks[24], threads[24];
    Status status = process_worker_path(&worker, diagnostic);
    if (status != STATUS_OK)
        return status;
    snprintf(ranks, sizeof ranks, "%lld", (long long)job->ranks);
    snprintf(threads, sizeof threads, "%lld", (long long)job->threads);
    const char *argv[24] = {0};
    const char *const mpirun[] = {"mpirun", "-n", ranks, "--bind-to", "none"};
    const char *const rest[] = {worker,      "--job", job->job,    "--result",   job->result,   "--ranks",     ranks,
                                "--threads", threads, "--backend", job->backend, "--log-level", job->log_level};
    size_t n = 0;
    for (size_t i = 0; job->ranks > 1 && i < sizeof mpirun / sizeof mpirun[0]; i++)
        argv[n++] = mpirun[i];
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        argv[n++] = rest[i];
    status = process_run(argv, interrupted, exit_code, diagnostic);
    free(worker);
    return status;
}
