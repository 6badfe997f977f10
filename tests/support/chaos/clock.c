/*
 * Preloaded, it sets the clock of a process by the seconds that the file $CHAOS_CLOCK holds. Not that
 * of Java: Kafka itself hears no heartbeat for as long as its clock has gone back.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t none = 0;
static const volatile int64_t *ahead = &none;
static int (*true_clock)(clockid_t, struct timespec *);
static int (*true_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*true_cnd)(cnd_t *, mtx_t *, const struct timespec *);
static int (*true_sem)(sem_t *, const struct timespec *);
static int (*true_lock)(pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    true_clock = dlsym(RTLD_NEXT, "clock_gettime");
    true_sem = dlsym(RTLD_NEXT, "sem_timedwait");
    true_lock = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    /* Unversioned, this one would be that of LinuxThreads. */
    true_cond = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!true_cond) true_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    true_cnd = dlsym(RTLD_NEXT, "cnd_timedwait");
    if (shared != MAP_FAILED && strcmp(program_invocation_short_name, "java")) ahead = shared;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    if (!true_clock) true_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = true_clock(id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, at) ? base : 0;
}

/* Who waits until a time of day means ours; times since the start of the machine are smaller. */
static struct timespec as_the_kernel_counts(const struct timespec *until) {
    struct timespec found = *until;
    if (found.tv_sec > 1000000000) found.tv_sec -= *ahead;
    return found;
}

int pthread_cond_timedwait(pthread_cond_t *restrict what, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until) {
    struct timespec at = as_the_kernel_counts(until);
    return true_cond(what, lock, &at);
}

int sem_timedwait(sem_t *restrict what, const struct timespec *restrict until) {
    struct timespec at = as_the_kernel_counts(until);
    return true_sem(what, &at);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict lock, const struct timespec *restrict until) {
    struct timespec at = as_the_kernel_counts(until);
    return true_lock(lock, &at);
}

int cnd_timedwait(cnd_t *restrict what, mtx_t *restrict lock,
                  const struct timespec *restrict until) {
    struct timespec at = as_the_kernel_counts(until);
    return true_cnd(what, lock, &at);
}
