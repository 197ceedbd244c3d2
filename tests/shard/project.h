/* A build of shards in a folder of its own, what it left there, and everything that its store says. */
#ifndef NERSWEEP_TESTS_SHARD_PROJECT_H
#define NERSWEEP_TESTS_SHARD_PROJECT_H

#include "support.h"

#define SMALL_TRAIN "Ann\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\n\nEve\tB-PER\nLee\tI-PER\nsat\tO\n"
#define SMALL_DEV "Bob\tB-PER\nis\tO\n"

/* A build in the test's folder; paths and sources live as long as this. */
typedef struct Project {
    char *folder, *shards, *vocabulary;
    char *paths[4];
    ShardSource sources[4];
    ShardBuild build;
    ShardSummary summary;
    Diagnostic diagnostic;
} Project;

/* A folder NAME in the scratch folder with a vocabulary, no source yet, default options; its shards go to NAME/shards. */
Project *project_new(const char *scratch, const char *name);
void project_free(Project **project);
/* SMALL_TRAIN and SMALL_DEV. */
Project *small_project(const char *scratch, const char *name);
/* Adds a file to the build; the project frees the path. */
void project_source(Project *project, const char *split, char *path);
/* Writes a file into the project's folder, and adds it. */
void project_text(Project *project, const char *split, const char *file, const char *text);
/* Path of a file of examples/; freed by the caller. */
char *example(const char *name);

Status project_build(Project *project);
/* Builds and opens; fails the test when either fails. */
ShardStore *project_open(Project *project);
/* Builds and asserts the failure; nothing may be left. */
void refuses(Project *project, Status expected, const char *part);

/* Names in the folder of the shards, "" when it is not there; freed by the caller. */
char *listing(const Project *project);
void holds_only(const Project *project, const char *expected);

/* Reads all of a store; *digest is one number for all that it says. */
NODISCARD Status read_all(const char *folder, uint64_t *digest, Diagnostic *diagnostic);

#endif
