#include "cli/shards.h"

#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "model/config.h"
#include "model/folder.h"
#include "model/vocabulary_file.h"

enum { VOCABULARY_LIMIT = 2000000 };

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    progress_show(context, done, total, NULL);
}

/* The vocabulary asked for and its casing: given, stated by the tokenizer_config.json beside it, or what its pieces look like. */
static Status find_tokenizer(const ShardRequest *request, TokenizerFiles *tokenizer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    VocabularyFile vocabulary = {0};
    char *folder = request->vocab ? path_folder(request->vocab) : memory_copy_string(request->model);
    bool is_vocab_txt = request->vocab == NULL || strcmp(path_base_name(request->vocab), "vocab.txt") == 0;
    if (is_vocab_txt) {
        TRY(model_folder_tokenizer(folder, tokenizer, diagnostic));
    } else {
        /* A vocabulary file of another name is not what the files beside it speak of. */
        TRY(vocabulary_file_read(&vocabulary, request->vocab, VOCABULARY_LIMIT, diagnostic));
        tokenizer->vocab_path = memory_copy_string(request->vocab);
        tokenizer->lowercase = !vocabulary_file_is_cased(&vocabulary);
    }
    if (request->lowercase >= 0)
        tokenizer->lowercase = request->lowercase == 1;
out:
    vocabulary_file_free(&vocabulary);
    free(folder);
    return status;
}

/* The data options as they hold for this model: windows are never longer than its positions. */
static Status fit_options(const ShardRequest *request, const BertConfig *config, DataOptions *options, Diagnostic *diagnostic)
{
    *options = *request->options;
    if (options->max_seq_length > config->max_position_embeddings) {
        LOG_INFO("max_seq_length %lld is over the model's %d positions: %d is used", (long long)options->max_seq_length,
                 config->max_position_embeddings, config->max_position_embeddings);
        options->max_seq_length = config->max_position_embeddings;
    }
    return data_options_validate(options, diagnostic);
}

Status shards_build(const ShardRequest *request, const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BertConfig config = {0};
    TokenizerFiles tokenizer = {0};
    Progress progress;
    ShardSummary summary = {0};
    DataOptions options;
    char *config_path =
        path_is_folder(request->model) ? path_join(request->model, "config.json") : memory_copy_string(request->model);
    progress_begin(&progress, "sharding");
    TRY(bert_config_read(&config, config_path, diagnostic));
    TRY(find_tokenizer(request, &tokenizer, diagnostic));
    TRY(fit_options(request, &config, &options, diagnostic));
    ShardBuild build = {.sources = request->sources,
                        .source_count = request->source_count,
                        .vocab_path = tokenizer.vocab_path,
                        .lowercase = tokenizer.lowercase,
                        .lowercase_given = request->lowercase >= 0,
                        .threads = request->threads,
                        .model_vocab_size = config.vocab_size,
                        .max_positions = config.max_position_embeddings,
                        .options = options,
                        .words = request->words,
                        .format = request->format,
                        .progress = show_progress,
                        .progress_context = &progress,
                        .interrupted = request->interrupted,
                        .metadata = request->metadata};
    TRY(shard_store_build(&build, folder, &summary, diagnostic));
    progress_end(&progress);
    if (summary.up_to_date)
        LOG_INFO("shards in %s are up to date", folder);
    else
        LOG_INFO("shards in %s: %lld sentences, %lld tokens, %lld pieces in %lld windows; words agree on %.1f%%", folder,
                 (long long)summary.sentences, (long long)summary.tokens, (long long)summary.pieces, (long long)summary.windows,
                 summary.words_agreement * 100);
    if (!summary.up_to_date)
        LOG_INFO("%.1f s for the hashes of the files, %.1f s for their labels and words, %.1f s for the records", summary.hash_s,
                 summary.survey_s, summary.write_s);
    if (summary.reused_sentences > 0)
        LOG_INFO("%lld sentences of unchanged files were taken over", (long long)summary.reused_sentences);
    if (summary.pseudo_sentences > 0)
        LOG_INFO("%lld sentences have pseudo-labels, of weight %g", (long long)summary.pseudo_sentences, options.pseudo_weight);
    if (summary.weak_sentences + summary.dropped > 0)
        LOG_INFO(
            "%lld sentences have weak labels, of weight %g; their sources agree on no label for %lld tokens, nor on any of %lld "
            "further sequences",
            (long long)summary.weak_sentences, options.weak_weight, (long long)summary.unlabelled_tokens,
            (long long)summary.dropped);
out:
    progress_end(&progress);
    tokenizer_files_free(&tokenizer);
    bert_config_free(&config);
    free(config_path);
    return status;
}

void shards_split_name(const char *argument, char **name, const char **path)
{
    const char *equals = strchr(argument, '=');
    *name = NULL;
    *path = argument;
    if (equals == NULL || equals == argument || path_exists(argument))
        return;
    *name = memory_copy_bytes(argument, (size_t)(equals - argument));
    *path = equals + 1;
}

static Status add_source(ShardSourceArray *sources, StringArray *names, char *split, const char *path, ShardSourceKind kind,
                         Diagnostic *diagnostic)
{
    array_push(names, split);
    if (sources->count >= SHARD_INPUT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "more than %d data files are given", SHARD_INPUT_LIMIT);
    if (!path_exists(path))
        return FAIL(diagnostic, STATUS_NOT_FOUND, "%s: there is no such file (%s)", path, split);
    array_push(sources, ((ShardSource){split, path, kind}));
    return STATUS_OK;
}

Status shards_sources(ShardFiles files, ShardSourceArray *sources, StringArray *names, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const StringArray *of_train[] = {[SHARD_GOLD] = files.train, [SHARD_PSEUDO] = files.pseudo, [SHARD_WEAK] = files.weak};
    for (int kind = SHARD_GOLD; kind <= SHARD_WEAK; kind++)
        for (size_t i = 0; i < of_train[kind]->count; i++)
            TRY(add_source(sources, names, memory_copy_string("train"), of_train[kind]->items[i], (ShardSourceKind)kind,
                           diagnostic));
    for (size_t i = 0; i < files.dev->count; i++) {
        char *name = NULL;
        const char *path = NULL;
        shards_split_name(files.dev->items[i], &name, &path);
        char *split = memory_format("dev:%s", name ? name : "dev");
        free(name);
        TRY(add_source(sources, names, split, path, SHARD_GOLD, diagnostic));
    }
    for (size_t i = 0; i < files.test->count; i++)
        TRY(add_source(sources, names, memory_copy_string("test"), files.test->items[i], SHARD_GOLD, diagnostic));
out:
    return status;
}
