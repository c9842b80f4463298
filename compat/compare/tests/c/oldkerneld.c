/*
 * A small kerneld of the old kind, for the tests of kerneld-compare --old: it stands in for a real one of
 * modutils 2.4, whose behaviour towards others it repeats as far as that is the same every time.
 *
 * It is compiled for i386 and x86-64, and speaks the old protocol, or with -DNEW_PROTOCOL the new one.
 * Facts only; docs/behaviour.md says what they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef NEW_PROTOCOL
#define IPC_KERNELD 00140000
#else
#define IPC_KERNELD 00040000
#endif

enum { SYSTEM = 1, LOAD, RELEASE, DELAYED, CANCEL, ROUTE, BLANKER, GET_PERSIST = 9, SET_PERSIST, DEBUG = 255 };

#define READ 1023 /* bytes of mtext that it reads */
#define REPLY 1024
#define TICK 20000 /* microseconds between looks at children: the real one could miss their end */

struct message {
    long mtype;
    long id;
    char rest[READ + 1];
};

struct job {
    struct job *next; /* newest first */
    long type, id;
    pid_t pid;
    int status, is_new;
    short sender;
    size_t length; /* of all of the text; as a string it ends at its first NUL */
    char text[READ + 1];
    int pipe;
    size_t reply_length;
    char reply[REPLY + READ];
};

struct pair {
    struct pair *next;
    char key[READ + 1];
    size_t length;
    char value[READ + 1];
};

static struct job *jobs;
static struct pair *pairs;
static int keep, debug, have_route, channel, timer_set;
static int delay = 60, want = -255;
static volatile sig_atomic_t hung_up;
static double alarm_at;
static char persist_file[256];

/* As atoi of its time: what is too long for an int loses its upper bits. */
static int number(const char *text)
{
    return (int)strtoll(text, NULL, 10);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void set_alarm(void)
{
    if (timer_set)
        alarm_at = now() + (unsigned)delay;
}

static void on_tick(int signal)
{
    if (signal == SIGHUP)
        hung_up = 1;
}

/* Its file: key, length, value, in turn. */
static void read_pairs(void)
{
    FILE *file = fopen(persist_file, "r");
    while (pairs) {
        struct pair *next = pairs->next;
        free(pairs);
        pairs = next;
    }
    while (file) {
        struct pair *pair = calloc(1, sizeof *pair);
        if (!pair || fread(pair, sizeof *pair, 1, file) != 1) {
            free(pair);
            break;
        }
        pair->next = pairs;
        pairs = pair;
    }
    if (file)
        fclose(file);
}

static struct pair *find_pair(const char *key)
{
    struct pair *pair = pairs;
    while (pair && strcmp(pair->key, key))
        pair = pair->next;
    return pair;
}

static void set_pair(const char *key, const char *value, size_t length)
{
    struct pair *pair = find_pair(key), **at = &pairs;
    FILE *file;
    if (!length) { /* from memory only: gdbm_delete was given the value in place of the key */
        while (*at && *at != pair)
            at = &(*at)->next;
        if (pair)
            *at = pair->next;
        return;
    }
    if (!pair) {
        pair = calloc(1, sizeof *pair);
        pair->next = pairs;
        pairs = pair;
        strcpy(pair->key, key);
    }
    memcpy(pair->value, value, pair->length = length);
    file = fopen(persist_file, "a");
    if (file) {
        fwrite(pair, sizeof *pair, 1, file);
        fclose(file);
    }
}

static void look_again(void)
{
    have_route = access("/sbin/request-route", X_OK) == 0;
    read_pairs();
}

static void run(struct job *job, char *const argv[], unsigned seconds)
{
    int ends[2] = { -1, -1 }, null;
    sigset_t blocked;
    if (job->type == SYSTEM && job->id && pipe(ends))
        exit(1);
    job->pipe = ends[0];
    job->pid = fork();
    if (job->pid)
        goto parent;
    null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(ends[1] >= 0 ? ends[1] : null, 1);
    dup2(null, 2);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    if (job->is_new) {
        /* putenv keeps the pointer, and what it points to is gone when the helper is executed. */
        char trigger[32];
        sprintf(trigger, "KERNELD_TRIGGER=%d", job->sender);
        putenv(trigger);
        memset(trigger, -1, sizeof trigger - 1);
        trigger[sizeof trigger - 1] = 0;
        if (seconds)
            sleep(seconds);
        execv(argv[0], argv);
        _exit(1);
    }
    if (seconds)
        sleep(seconds);
    execv(argv[0], argv);
    _exit(1);
parent:
    if (ends[1] >= 0)
        close(ends[1]);
}

static struct job *equal_job(const struct job *job)
{
    struct job *other = jobs, *oldest = NULL;
    for (; other; other = other->next)
        if (other->type == job->type && !strcmp(other->text, job->text))
            oldest = other;
    return oldest;
}

/* Waits for the process of an equal request, or starts one. */
static void share(struct job *job, char *const argv[])
{
    struct job *other = equal_job(job);
    if (other)
        job->pid = other->pid;
    else
        run(job, argv, 0);
}

static void blanker(struct job *job)
{
    char *argv[] = { "/sbin/screenblanker", NULL };
    struct job *running = jobs;
    while (running && !(running->type == BLANKER && running->pid))
        running = running->next;
    if (!strcmp(job->text, "on")) {
        if (running)
            job->pid = running->pid;
        else
            run(job, argv, 0);
    } else if (running) {
        running->id = job->id;
        job->id = 0;
        kill(running->pid, SIGQUIT);
    } else {
        job->status = 1;
    }
}

static void set_persist(struct job *job)
{
    int lengths[2];
    const char *key = job->text + sizeof lengths;
    if (job->length < sizeof lengths)
        return;
    memcpy(lengths, job->text, sizeof lengths);
    if (lengths[0] <= 0 || lengths[1] < 0 || (size_t)lengths[0] + lengths[1] + sizeof lengths > job->length)
        return;
    set_pair(key, key + lengths[0], lengths[1]);
}

static const char *name_of(long type)
{
    static const char *const names[] = { "unknown", "system", "request_module", "release_module",
        "delayed_release_module", "cancel_release_module", "request_route", "screenblanker" };
    return type == DEBUG ? "debug" : names[type >= 1 && type <= 7 ? type : 0];
}

static int flush(void)
{
    struct message message;
    int count = 0;
    while (msgrcv(channel, &message, sizeof message - sizeof message.mtype, 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
        count++;
    return count;
}

static void state(struct job *job)
{
    const char *word = job->text;
    struct job *other;
    int at = 0, seconds;
    if (!strcmp(word, "debug"))
        debug = 1;
    else if (!strcmp(word, "nodebug"))
        debug = 0;
    else if (!strcmp(word, "keep"))
        keep = 1;
    else if (!strcmp(word, "nokeep"))
        keep = 0;
    else if (!strncmp(word, "delay=", 6) && (seconds = number(word + 6)) != 0)
        delay = seconds;
    else if (!strcmp(word, "flush"))
        at = sprintf(job->reply, "flushed %d entries\n", flush());
    at += sprintf(job->reply + at, "Version 2.4.27, pid=%d, delay=%d, %skeep, %sdebug\n", getpid(), delay,
        keep ? "" : "no", debug ? "" : "no");
    at += sprintf(job->reply + at, jobs ? "job queue:\n" : "no jobs waiting\n");
    for (other = jobs; other && at <= REPLY - 40; other = other->next) {
        at += sprintf(job->reply + at, "pid %d, type %s ('%s')", other->pid, name_of(other->type), other->text);
#ifdef NEW_PROTOCOL
        at += sprintf(job->reply + at, " from pid %d", other->sender);
#endif
        at += sprintf(job->reply + at, "\n");
    }
    if (at > REPLY + 12)
        abort(); /* the real one has overrun its heap now */
    job->reply_length = at;
}

static void begin(struct job *job)
{
    char *load[] = { "/sbin/modprobe", "-k", "-s", job->text, NULL };
    char *unload[] = { "/sbin/modprobe", "-r", "-s", job->text, NULL };
    char *route[] = { "/sbin/request-route", job->text, NULL };
    char *command[] = { "/bin/sh", "-c", job->text, NULL };
    struct job *other;
    struct pair *pair;
    switch (job->type) {
    case SYSTEM:
        run(job, command, 0);
        break;
    case LOAD:
        share(job, load);
        set_alarm();
        break;
    case RELEASE:
        run(job, unload, 0);
        break;
    case DELAYED:
        run(job, unload, delay);
        break;
    case CANCEL:
        for (other = jobs; other && !keep; other = other->next)
            if (other->type == DELAYED && other->pid && !strcmp(other->text, job->text))
                kill(other->pid, SIGINT);
        break;
    case ROUTE:
        if (have_route)
            share(job, route);
        break;
    case BLANKER:
        blanker(job);
        break;
    case GET_PERSIST:
        pair = find_pair(job->text);
        if (pair)
            memcpy(job->reply, pair->value, job->status = job->reply_length = pair->length);
        break;
    case SET_PERSIST:
        set_persist(job);
        break;
    case DEBUG:
        state(job);
        break;
    default:
        job->status = 1;
    }
}

static void reap(void)
{
    int status;
    pid_t pid;
    struct job *job;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (job = jobs; job; job = job->next)
            if (job->pid == pid) {
                job->pid = 0;
                job->status = WEXITSTATUS(status);
                if (job->pipe >= 0) {
                    ssize_t got = read(job->pipe, job->reply, REPLY);
                    job->reply_length = got > 0 ? got : 0;
                    close(job->pipe);
                    job->pipe = -1;
                }
            }
}

/* Blocks in msgsnd like the real one, until its alarm: then that fails, and it exits. */
static void answer(struct job *job)
{
    struct {
        long mtype;
        char mtext[sizeof(long) + 4 + REPLY + READ];
    } message;
    size_t at = 0;
    long status = job->status;
    message.mtype = job->id;
    memcpy(message.mtext, &status, sizeof status);
    at = sizeof status;
    if (job->is_new) {
        short version = 2;
        memcpy(message.mtext + at, &version, 2);
        memcpy(message.mtext + at + 2, &job->sender, 2);
        at += 4;
    }
    memcpy(message.mtext + at, job->reply, job->reply_length);
    at += job->reply_length;
    while (msgsnd(channel, &message, at, 0)) {
        if (errno != EINTR || (timer_set && now() >= alarm_at))
            exit(1);
    }
}

static void finish_jobs(void)
{
    struct job **at = &jobs;
    while (*at) {
        struct job *job = *at;
        if (job->pid) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        if (job->id)
            answer(job);
        free(job);
    }
}

static void take(const struct message *message, ssize_t length)
{
    struct job *job = calloc(1, sizeof *job);
    const char *text = message->rest;
    size_t header = sizeof message->id;
    job->type = message->mtype;
    job->id = message->id;
    job->pipe = -1;
#ifdef NEW_PROTOCOL
    {
        short fields[2];
        memcpy(fields, message->rest, sizeof fields);
        if ((size_t)length >= header + 4 && fields[0] == 2) {
            job->is_new = 1;
            job->sender = fields[1];
            text += 4;
            header += 4;
        }
    }
#endif
    job->length = (size_t)length > header ? length - header : 0;
    memcpy(job->text, text, job->length);
    begin(job);
    if (job->pid || job->id) {
        job->next = jobs;
        jobs = job;
    } else {
        free(job);
    }
}

static void serve(void)
{
    for (;;) {
        struct message message;
        ssize_t length;
        memset(&message, 0, sizeof message);
        length = msgrcv(channel, &message, READ, want, MSG_NOERROR);
        if (length < 0 && errno != EINTR)
            exit(1);
        if (timer_set && now() >= alarm_at)
            set_alarm();
        if (hung_up) {
            hung_up = 0;
            look_again();
        }
        if (length > 0)
            take(&message, length);
        reap();
        finish_jobs();
    }
}

int main(int argc, char **argv)
{
    struct itimerval tick = { { 0, TICK }, { 0, TICK } };
    struct sigaction act = { .sa_handler = on_tick };
    FILE *release = fopen("/proc/sys/kernel/osrelease", "r");
    char name[128] = "";
    pid_t pid;
    for (; argc > 1; argc--, argv++) {
        const char *word = argv[1];
        if (!strcmp(word, "keep"))
            keep = 1;
        else if (!strcmp(word, "debug"))
            debug = 1;
        else if (!strncmp(word, "delay=", 6))
            delay = number(word + 6);
        else if (!strncmp(word, "type=", 5))
            want = number(word + 5);
    }
    pid = fork();
    if (pid) {
        printf("Starting kerneld, version 2.4.27 (pid %d)\n", pid);
        return pid < 0;
    }
    setsid();
    if (release && fscanf(release, "%127s", name) == 1)
        fclose(release);
    snprintf(persist_file, sizeof persist_file, "/lib/modules/%s/persist.gdbm", name);
    channel = msgget(IPC_PRIVATE, 0600 | IPC_KERNELD);
    if (channel < 0)
        return 1;
    timer_set = !keep && delay;
    set_alarm();
    look_again();
    sigaction(SIGALRM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    serve();
}
