/* What a message to another process and back costs through two pipes: the counterpart of
 * components/bench/src/cbuf/messages.rs. The whole message goes both ways, as it does there. It is
 * all that runs in its guest; prints `PIPE pages round-trips ticks`, the median batch. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

enum { PAGE = 4096, LARGEST = 64, BATCHES = 5, TRIPS = 300, FIRST = 20 };

static char message[LARGEST * PAGE];

static void check(int good, const char *what) {
    if (!good) {
        printf("PIPE-FAILED ");
        fflush(stdout);
        perror(what);
        exit(1);
    }
}

static void put(int to, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        ssize_t done = write(to, message + at, bytes - at);
        check(done > 0, "write");
        at += done;
    }
}

/* 0 at the end of the pipe. */
static int get(int from, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        ssize_t done = read(from, message + at, bytes - at);
        check(done >= 0, "read");
        if (done == 0)
            return 0;
        at += done;
    }
    return 1;
}

static int by_size(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void round_trips(int pages) {
    size_t bytes = (size_t)pages * PAGE;
    int there[2], back[2];
    check(pipe(there) == 0 && pipe(back) == 0, "pipe");
    pid_t other = fork();
    check(other >= 0, "fork");
    if (other == 0) {
        close(there[1]);
        close(back[0]);
        while (get(there[0], bytes))
            put(back[1], bytes);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    uint64_t ticks[BATCHES];
    for (int batch = -1; batch < BATCHES; batch++) {
        /* The first batch, a short one, is not counted. */
        int trips = batch < 0 ? FIRST : TRIPS;
        uint64_t begun = __rdtsc();
        for (int trip = 0; trip < trips; trip++) {
            put(there[1], bytes);
            check(get(back[0], bytes), "echo");
        }
        if (batch >= 0)
            ticks[batch] = __rdtsc() - begun;
    }
    close(there[1]);
    close(back[0]);
    waitpid(other, 0, 0);
    qsort(ticks, BATCHES, sizeof *ticks, by_size);
    printf("PIPE %d %d %llu\n", pages, TRIPS, (unsigned long long)ticks[BATCHES / 2]);
    fflush(stdout);
}

int main(void) {
    memset(message, 1, sizeof message);
    /* The first process cannot end, so another measures. */
    pid_t measuring = fork();
    if (measuring == 0) {
        for (int pages = 1; pages <= LARGEST; pages *= 2)
            round_trips(pages);
        return 0;
    }
    waitpid(measuring, 0, 0);
    return reboot(RB_POWER_OFF);
}
