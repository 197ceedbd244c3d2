#include "worker/workplace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/hash.h"
#include "core/options/number.h"
#include "inference/notes.h"
#include "model/folder.h"
#include "worker/checkpoint.h"

static const char work_folder_prefix[] = "nersweep-worker-";

enum { VOCABULARY_SIZE_LIMIT = 256 * 1024 * 1024, COPY_CHUNK = 1 << 22 };

static Status copy_text(char **to, const Json *json, const char *key, const char *source, bool is_required, Diagnostic *diagnostic)
{
    const char *text = json_string_value(json_get(json, key));
    if (!text && is_required)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"%s\" is missing or is not a string", source, key);
    *to = text ? path_absolute(text) : NULL;
    return STATUS_OK;
}

Status training_data_parse(TrainingData *data, const Json *json, const char *store_default, const char *source,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *precision = json_string_value(json_get(json, "precision"));
    *data = (TrainingData){.random_weights = json_boolean_value(json_get(json, "random_weights"), false)};
    data->precision_auto = !precision || strcmp(precision, "auto") == 0;
    if (precision && strcmp(precision, "bf16") == 0)
        data->product_type = DEVICE_BF16;
    else if (!data->precision_auto && strcmp(precision, "fp32") != 0)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: precision \"%s\": it may be auto, fp32 or bf16", source, precision);
    const char *memory_limit = json_string_value(json_get(json, "memory_limit"));
    if (memory_limit && strcmp(memory_limit, "none") != 0 && !number_parse_bytes(memory_limit, &data->memory_limit_bytes))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: memory_limit \"%s\" is no number of bytes such as 8G", source,
                 memory_limit);
    TRY(copy_text(&data->model, json, "model", source, true, diagnostic));
    TRY(copy_text(&data->vocab, json, "vocab", source, false, diagnostic));
    TRY(copy_text(&data->shards, json, "shards", source, true, diagnostic));
    TRY(copy_text(&data->store, json, "store", source, !store_default, diagnostic));
    if (!data->store)
        data->store = path_absolute(store_default);
out:
    if (status != STATUS_OK)
        training_data_free(data);
    return status;
}

void training_data_free(TrainingData *data)
{
    free(data->model);
    free(data->vocab);
    free(data->shards);
    free(data->store);
    *data = (TrainingData){0};
}

const char *workplace_temporary_root(void)
{
    const char *root = getenv("TMPDIR");
    return root && root[0] ? root : "/tmp";
}

static int32_t processors_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

Status workplace_open(Workplace *workplace, Communicator *communicator, const WorkplaceOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *workplace = (Workplace){.communicator = communicator, .work_lock = -1};
    workplace->threads = options->threads > 0 ? options->threads : processors_allowed();
    BackendOptions backend_options = {.thread_count = workplace->threads};
    TRY(backend_open(&workplace->backend, options->backend, diagnostic));
    TRY(workplace->backend->device_open(&workplace->device, &backend_options, diagnostic));
out:
    return communicator_agree(communicator, status, &(int64_t){0}, diagnostic);
}

Status workplace_profile(Workplace *workplace, const Clock *clock, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Communicator *communicator = workplace->communicator;
    /* All ranks of a machine measure at once, as they will train. */
    TRY(communicator_agree(communicator, STATUS_OK, &(int64_t){0}, diagnostic));
    status = backend_peaks_measure(&workplace->peaks, workplace->backend, workplace->device, workplace->threads, clock, diagnostic);
    if (status == STATUS_OK)
        status = profile_attach(&workplace->profile, &workplace->backend, &workplace->device, clock, diagnostic);
    TRY(communicator_agree(communicator, status, &(int64_t){0}, diagnostic));
    if (communicator_rank(communicator) == 0)
        LOG_INFO("profile: products reach %.0f GF/s in fp32 and %.0f in bf16, memory %.1f GB/s over %zu MiB",
                 workplace->peaks.flop_per_s[DEVICE_FP32] * 1e-9, workplace->peaks.flop_per_s[DEVICE_BF16] * 1e-9,
                 workplace->peaks.bytes_per_s * 1e-9, workplace->peaks.memory_bytes >> 20);
out:
    return status;
}

/* A live process holds the lock of its work folder; one that was killed has left it. Where there is no lock, or one that is still empty,
 * the folder is just being made. */
static bool is_abandoned(const char *folder)
{
    char *path = path_join(folder, "lock");
    int lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    bool abandoned = lock >= 0 && fstat(lock, &info) == 0 && info.st_size > 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
    if (lock >= 0)
        close(lock);
    free(path);
    return abandoned;
}

/* What killed workers of this user left on this host: half a checkpoint each, at most. */
static void remove_abandoned_work_folders(void)
{
    StringArray names = {0};
    struct stat info;
    if (folder_list(workplace_temporary_root(), &names, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (strncmp(names.items[i], work_folder_prefix, sizeof work_folder_prefix - 1) != 0)
            continue;
        char *folder = path_join(workplace_temporary_root(), names.items[i]);
        if (lstat(folder, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == getuid() && is_abandoned(folder) &&
            folder_remove_tree(folder, NULL) == STATUS_OK)
            LOG_DEBUG("removed %s of a worker that was killed", folder);
        free(folder);
    }
    string_array_free(&names);
}

static Status lock_work_folder(Workplace *workplace, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *path = path_join(workplace->work_folder, "lock");
    workplace->work_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (workplace->work_lock < 0 || flock(workplace->work_lock, LOCK_EX) != 0 || write(workplace->work_lock, "1", 1) != 1)
        status = FAIL(diagnostic, status_from_errno(errno), "cannot lock %s: %s", path, strerror(errno));
    free(path);
    return status;
}

static Status make_work_folder(Workplace *workplace, Diagnostic *diagnostic)
{
    remove_abandoned_work_folders();
    char *folder = memory_format("%s/%sXXXXXX", workplace_temporary_root(), work_folder_prefix);
    if (!mkdtemp(folder)) {
        Status status = FAIL(diagnostic, status_from_errno(errno),
                             "cannot make a temporary folder %s: %s; TMPDIR chooses another place", folder, strerror(errno));
        free(folder);
        return status;
    }
    workplace->work_folder = folder;
    return lock_work_folder(workplace, diagnostic);
}

/* vocab.txt into the work folder, its bytes those that the shards were made with. */
static Status take_vocabulary(Workplace *workplace, const TrainingData *data, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char hex[SHA256_HEX_SIZE], *bytes = NULL;
    size_t size, lines = 0;
    char *from = data->vocab ? memory_copy_string(data->vocab) : path_join(data->model, "vocab.txt");
    char *to = path_join(workplace->work_folder, "vocab.txt");
    TRY(file_read(from, VOCABULARY_SIZE_LIMIT, &bytes, &size, diagnostic));
    sha256_hex(bytes, size, hex);
    if (strcmp(hex, shard_store_vocab_sha256(workplace->shards)) != 0)
        TRY_FAIL(diagnostic, STATUS_MISMATCH,
                 "the shards in %s were made with another vocabulary (SHA-256 %.12s...) than %s (%.12s...): make them again",
                 data->shards, shard_store_vocab_sha256(workplace->shards), from, hex);
    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n';
    lines += size > 0 && bytes[size - 1] != '\n';
    if (lines > (size_t)workplace->config.vocab_size)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "%s has %zu pieces, but the model in %s has embeddings for %d", from, lines,
                 data->model, workplace->config.vocab_size);
    TRY(file_write_durable(file_system_posix(), to, bytes, size, diagnostic));
out:
    free(bytes);
    free(from);
    free(to);
    return status;
}

/* Shards whose casing was given stand as they are; others must have that of the tokenizer_config.json beside the vocabulary. */
static Status check_casing(const Workplace *workplace, const TrainingData *data, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TokenizerFiles tokenizer = {0};
    bool lowercase = shard_store_lowercase(workplace->shards);
    char *folder = data->vocab ? path_folder(data->vocab) : memory_copy_string(data->model);
    if (shard_store_lowercase_given(workplace->shards) || (data->vocab && strcmp(path_base_name(data->vocab), "vocab.txt") != 0))
        goto out;
    TRY(model_folder_tokenizer(folder, &tokenizer, diagnostic));
    if (tokenizer.lowercase_stated && tokenizer.lowercase != lowercase)
        TRY_FAIL(diagnostic, STATUS_MISMATCH,
                 "the shards in %s were made of %s text, but the tokenizer_config.json in %s has do_lower_case %s: make them "
                 "again, or with "
                 "%s",
                 data->shards, lowercase ? "lower-cased" : "cased", folder, tokenizer.lowercase ? "true" : "false",
                 lowercase ? "--lowercase" : "--cased");
out:
    tokenizer_files_free(&tokenizer);
    free(folder);
    return status;
}

/* A classifier of the right size for labels of other names, or in another order, would be taken for what it is not. */
static bool has_other_labels(const BertConfig *config, const LabelSet *labels)
{
    if (config->label_count != label_set_count(labels))
        return false; /* does not fit anyway */
    for (int32_t i = 0; i < config->label_count; i++)
        if (strcmp(config->labels[i], label_set_name(labels, i)) != 0)
            return true;
    return false;
}

static Status take_labels(Workplace *workplace, Diagnostic *diagnostic)
{
    const LabelSet *labels = shard_store_labels(workplace->shards);
    int32_t count = label_set_count(labels);
    int64_t max_seq_length = shard_store_options(workplace->shards)->max_seq_length;
    if (count < 1)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "the shards have no labels: was there any training data?");
    if (max_seq_length > workplace->config.max_position_embeddings)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the shards have windows of up to %" PRId64
                    " pieces, but the model in %s has only %d positions: make the shards with --max-seq-length %d",
                    max_seq_length, workplace->model_folder, workplace->config.max_position_embeddings,
                    workplace->config.max_position_embeddings);
    workplace->other_labels = has_other_labels(&workplace->config, labels);
    const char **names = memory_allocate((size_t)count, sizeof *names);
    for (int32_t i = 0; i < count; i++)
        names[i] = label_set_name(labels, i);
    bert_config_set_labels(&workplace->config, names, count);
    free(names);
    return STATUS_OK;
}

static void forget_data(Workplace *workplace)
{
    shard_store_close(&workplace->shards);
    store_close(&workplace->store);
    bert_config_free(&workplace->config);
    json_destroy(&workplace->notes);
    if (workplace->work_folder && folder_remove_tree(workplace->work_folder, NULL) != STATUS_OK)
        LOG_WARNING("cannot remove %s", workplace->work_folder);
    if (workplace->work_lock >= 0)
        close(workplace->work_lock);
    workplace->work_lock = -1;
    free(workplace->work_folder);
    free(workplace->model_folder);
    workplace->work_folder = workplace->model_folder = NULL;
}

static Status take_data(Workplace *workplace, const TrainingData *data, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *local = NULL, *config_path = path_join(data->model, "config.json");
    workplace->model_folder = memory_copy_string(data->model);
    workplace->random_weights = data->random_weights;
    TRY(shards_make_local(data->shards, false, &local, diagnostic));
    TRY(shard_store_open(&workplace->shards, local, diagnostic));
    TRY(bert_config_read(&workplace->config, config_path, diagnostic));
    TRY(take_labels(workplace, diagnostic));
    TRY(make_work_folder(workplace, diagnostic));
    TRY(take_vocabulary(workplace, data, diagnostic));
    TRY(check_casing(workplace, data, diagnostic));
    TRY(store_open(&workplace->store, data->store, file_system_posix(), diagnostic));
    workplace->notes = prediction_notes_of_shards(workplace->shards);
out:
    free(local);
    free(config_path);
    return status;
}

Status workplace_set_data(Workplace *workplace, const TrainingData *data, Diagnostic *diagnostic)
{
    forget_data(workplace);
    workplace->product_type = data->product_type;
    workplace->precision_auto = data->precision_auto;
    workplace->slow_bf16_told = false;
    workplace->memory_limit_bytes = data->memory_limit_bytes;
    Status status = take_data(workplace, data, diagnostic);
    status = communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic);
    if (status != STATUS_OK)
        forget_data(workplace);
    return status;
}

DeviceType workplace_quicker_type(const Workplace *workplace)
{
    int64_t lacks = workplace->backend->product_type(workplace->device) != DEVICE_BF16;
    communicator_max_int64(workplace->communicator, &lacks, 1);
    return lacks ? DEVICE_FP32 : DEVICE_BF16;
}

/* Rank 0 looks, so that all ranks go on alike. */
static DeviceType type_of_checkpoint(const Workplace *workplace, const char *checkpoint, DeviceType otherwise)
{
    int32_t type = (int32_t)otherwise;
    char precision[CHECKPOINT_PRECISION_SIZE];
    if (communicator_rank(workplace->communicator) == 0 &&
        checkpoint_precision(workplace->store, checkpoint, precision, NULL) == STATUS_OK)
        type = strcmp(precision, "bf16") == 0 ? DEVICE_BF16 : DEVICE_FP32;
    communicator_broadcast(workplace->communicator, &type, sizeof type, 0);
    return (DeviceType)type;
}

void workplace_choose_precision(Workplace *workplace, const char *checkpoint)
{
    if (workplace->precision_auto) {
        workplace->product_type = workplace_quicker_type(workplace);
        if (checkpoint && checkpoint[0])
            workplace->product_type = type_of_checkpoint(workplace, checkpoint, workplace->product_type);
    }
    bool slow = workplace->product_type == DEVICE_BF16 && workplace->backend->product_type(workplace->device) != DEVICE_BF16;
    if (slow && !workplace->slow_bf16_told)
        LOG_WARNING("precision bf16%s: fp32 would be quicker on this processor",
                    workplace->precision_auto ? ", that of the checkpoint" : "");
    workplace->slow_bf16_told |= slow;
}

void workplace_close(Workplace *workplace)
{
    forget_data(workplace);
    if (workplace->device)
        workplace->backend->device_close(&workplace->device); /* and its profile */
    *workplace = (Workplace){.work_lock = -1};
}

const char *workplace_precision(const Workplace *workplace)
{
    return workplace->product_type == DEVICE_BF16 ? "bf16" : "fp32";
}

Status workplace_create_model(const Workplace *workplace, const TrainingOptions *options, Model **model, Diagnostic *diagnostic)
{
    BertConfig config = {0};
    bert_config_copy(&config, &workplace->config);
    if (options && options->hidden_dropout >= 0) {
        /* A classifier without a probability of its own follows, as in Hugging Face's models. */
        const Json *own = json_get(config.source, "classifier_dropout");
        config.hidden_dropout_prob = (float)options->hidden_dropout;
        if (!own || json_is_null(own))
            config.classifier_dropout = config.hidden_dropout_prob;
    }
    if (options && options->attention_dropout >= 0)
        config.attention_probs_dropout_prob = (float)options->attention_dropout;
    if (options && options->classifier_dropout >= 0)
        config.classifier_dropout = (float)options->classifier_dropout;
    Status status = model_create(model, &config, workplace->backend, workplace->device, workplace->product_type, diagnostic);
    bert_config_free(&config);
    return status;
}

Status workplace_start_model(const Workplace *workplace, const TrainingOptions *options, Model **model, char hex[17],
                             Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    HostFloats values = {0};
    *model = NULL;
    TRY(workplace_create_model(workplace, options, model, diagnostic));
    if (workplace->random_weights)
        TRY(model_initialize(*model, options->seed, false, diagnostic));
    else
        TRY(model_folder_load(*model, workplace->model_folder, MODEL_HEAD_INITIALIZE, options->seed, diagnostic));
    if (workplace->other_labels && !workplace->random_weights) {
        LOG_INFO("the classifier in %s is for other labels: a new one starts from seed %llu", workplace->model_folder,
                 (unsigned long long)options->seed);
        TRY(model_initialize(*model, options->seed, true, diagnostic));
    }
    TRY(model_parameters_open(*model, &values, diagnostic));
    snprintf(hex, 17, "%016" PRIx64, checksum64(values.values, model_layout(*model)->float_count * sizeof(float)));
out:
    host_floats_close(&values);
    if (status != STATUS_OK)
        model_destroy(model);
    return status;
}

static Status copy_file(const char *from, const char *to, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FileMap map = {0};
    FileWriter *writer = NULL;
    TRY(file_map_open(&map, from, diagnostic));
    TRY(file_writer_begin(&writer, file_system_posix(), to, diagnostic));
    for (size_t done = 0; done < map.size; done += COPY_CHUNK) {
        size_t size = map.size - done < COPY_CHUNK ? map.size - done : COPY_CHUNK;
        TRY(file_writer_append(writer, map.bytes + done, size, diagnostic));
    }
    TRY(file_writer_commit(&writer, diagnostic));
out:
    file_writer_abandon(&writer);
    file_map_close(&map);
    return status;
}

/* One process of the host copies, the others wait for it. */
static Status copy_shards(const char *from, const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int lock = -1;
    char *lock_path = path_join(folder, "lock"), *to = path_join(folder, "shards.mdb");
    TRY(folder_create(file_system_posix(), folder, diagnostic));
    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot lock %s: %s", lock_path, strerror(errno));
    if (!path_exists(to)) {
        LOG_INFO("copying %s to %s: shards are not read over the network", from, to);
        TRY(copy_file(from, to, diagnostic));
    }
out:
    if (lock >= 0)
        close(lock);
    free(lock_path);
    free(to);
    return status;
}

Status shards_make_local(const char *folder, bool copy, char **local, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    struct stat info;
    char hex[SHA256_HEX_SIZE];
    char *path = path_join(folder, "shards.mdb"), *key = NULL;
    *local = NULL;
    copy = copy || path_require_local(folder, NULL) == STATUS_UNSUPPORTED;
    if (!copy) {
        *local = memory_copy_string(folder);
        goto out;
    }
    if (stat(path, &info) != 0)
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
    key = memory_format("%s %lld %lld.%09ld", path, (long long)info.st_size, (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    sha256_hex(key, strlen(key), hex);
    *local = memory_format("%s/nersweep-shards-%u-%.16s", workplace_temporary_root(), (unsigned)getuid(), hex);
    TRY(copy_shards(path, *local, diagnostic));
out:
    if (status != STATUS_OK) {
        free(*local);
        *local = NULL;
    }
    free(path);
    free(key);
    return status;
}
