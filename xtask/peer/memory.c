/* What memory costs a Linux program: the counterpart of components/bench/src/memory, figure for
 * figure, in the same order and in the same lines. It is all that runs in its guest. The first
 * process only waits for the second to end: the kernel reports each fault of the first on the console.
 *
 * A figure that Linux has several ways to is measured in each: the part of its name behind the dot
 * says which. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
    PAGE = 4096,
    LARGE = 2 << 20,
    BATCHES = 5,
    PAGES = 100,
    FAULTS = 2000,
    /* Bytes of the instruction in `hit`. */
    HIT = 3,
};
static const size_t LARGEST = 64 << 20;

typedef uint64_t Ticks[BATCHES];

static void check(int good, const char *what) {
    if (!good) {
        printf("MEMORY-FAILED ");
        fflush(stdout);
        perror(what);
        exit(1);
    }
}

static int by_size(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void tell(const char *name, unsigned long pages, unsigned long operations, Ticks ticks) {
    qsort(ticks, BATCHES, sizeof *ticks, by_size);
    printf("MEMORY %s %lu %lu %lu\n", name, pages, operations, ticks[BATCHES / 2]);
    fflush(stdout);
}

/* ---- A fault alone, and the two cycles of Appel and Li ---- */

static uint32_t state = 12345;

static unsigned below(unsigned end) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % end;
}

static char *area;
static char *volatile next_page;
static volatile unsigned long faulted;

static char *page(unsigned number) { return area + (size_t)number * PAGE; }

static void protect(char *first, unsigned pages, int access) {
    check(mprotect(first, (size_t)pages * PAGE, access) == 0, "mprotect");
}

static char *page_of(const siginfo_t *info) {
    return (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
}

static void skip(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += HIT;
    faulted++;
}

static void swap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    protect(next_page, 1, PROT_READ);
    protect(page_of(info), 1, PROT_READ | PROT_WRITE);
    faulted++;
}

static void set_free(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    protect(page_of(info), 1, PROT_READ | PROT_WRITE);
    faulted++;
}

static void handle(void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    check(sigaction(SIGSEGV, &action, 0) == 0, "sigaction");
}

static inline void hit(char *at) { __asm__ volatile("movb $1, (%%rax)" : : "a"(at) : "memory"); }

static void all_faulted(void) {
    check(faulted == FAULTS, "a write was no fault");
    faulted = 0;
}

static void appel_and_li(void) {
    Ticks ticks;
    unsigned order[PAGES];
    area = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    check(area != MAP_FAILED, "mmap");

    handle(skip);
    protect(area, 1, PROT_READ);
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t begun = __rdtsc();
        for (int fault = 0; fault < FAULTS; fault++)
            hit(area);
        ticks[batch] = __rdtsc() - begun;
        all_faulted();
    }
    tell("trap", 1, FAULTS, ticks);
    protect(area, PAGES, PROT_READ | PROT_WRITE);

    handle(swap);
    unsigned current = below(PAGES);
    protect(page(current), 1, PROT_READ);
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t begun = __rdtsc();
        for (int fault = 0; fault < FAULTS; fault++) {
            unsigned next = below(PAGES - 1);
            next += next >= current;
            next_page = page(next);
            hit(page(current));
            current = next;
        }
        ticks[batch] = __rdtsc() - begun;
        all_faulted();
    }
    tell("protect1-trap-unprotect", PAGES, FAULTS, ticks);
    protect(area, PAGES, PROT_READ | PROT_WRITE);

    handle(set_free);
    for (unsigned number = 0; number < PAGES; number++)
        order[number] = number;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t begun = __rdtsc();
        for (unsigned last = PAGES - 1; last > 0; last--) {
            unsigned other = below(last + 1), kept = order[last];
            order[last] = order[other];
            order[other] = kept;
        }
        for (int round = 0; round < FAULTS / PAGES; round++) {
            protect(area, PAGES, PROT_READ);
            for (unsigned number = 0; number < PAGES; number++)
                hit(page(order[number]));
        }
        ticks[batch] = __rdtsc() - begun;
        all_faulted();
    }
    tell("protectN-trap-unprotect", PAGES, FAULTS, ticks);
    signal(SIGSEGV, SIG_DFL);
    munmap(area, PAGES * PAGE);
}

/* ---- Map, protect and unmap memory that exists ---- */

struct way {
    const char *name;
    size_t page;
    int large;
    int segment;
};

static int make(const struct way *way, size_t bytes) {
    int made;
    if (way->segment)
        return shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600 | (way->large ? SHM_HUGETLB : 0));
    made = memfd_create("memory", way->large ? MFD_HUGETLB : 0);
    return made < 0 || ftruncate(made, bytes) ? -1 : made;
}

/* All its pages can be used at once. */
static char *map(const struct way *way, int object, size_t bytes) {
    char *at;
    if (!way->segment)
        return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, object, 0);
    at = shmat(object, 0, 0);
    if (at != MAP_FAILED)
        check(madvise(at, bytes, MADV_POPULATE_READ) == 0, "madvise");
    return at;
}

static void unmap(const struct way *way, char *at, size_t bytes) {
    check((way->segment ? shmdt(at) : munmap(at, bytes)) == 0, "unmap");
}

static void size(const struct way *way, size_t bytes) {
    static const char *const names[3] = {"map", "protect", "unmap"};
    unsigned long pages = bytes / way->page, repetitions = 2048 / pages;
    Ticks ticks[3];
    memset(ticks, 0, sizeof ticks);
    repetitions = repetitions < 1 ? 1 : repetitions > 100 ? 100 : repetitions;
    int object = make(way, bytes);
    if (object < 0) {
        /* Without large pages the figures are left out, and whoever reads them sees that. */
        printf("MEMORY-MISSING %s %lu\n", way->name, pages);
        return;
    }
    char *first = map(way, object, bytes);
    check(first != MAP_FAILED, "map");
    memset(first, 1, bytes);
    for (int batch = 0; batch < BATCHES; batch++)
        for (unsigned long repetition = 0; repetition < repetitions; repetition++) {
            uint64_t looks[4];
            looks[0] = __rdtsc();
            char *at = map(way, object, bytes);
            looks[1] = __rdtsc();
            check(at != MAP_FAILED, "map");
            check(mprotect(at, bytes, PROT_READ) == 0, "mprotect");
            looks[2] = __rdtsc();
            unmap(way, at, bytes);
            looks[3] = __rdtsc();
            for (int what = 0; what < 3; what++)
                ticks[what][batch] += looks[what + 1] - looks[what];
        }
    for (int what = 0; what < 3; what++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%s", names[what], way->name);
        tell(name, pages, repetitions * pages, ticks[what]);
    }
    unmap(way, first, bytes);
    if (way->segment)
        shmctl(object, IPC_RMID, 0);
    else
        close(object);
}

static void measure(void) {
    static const struct way ways[] = {
        {"4k.memfd", PAGE, 0, 0},
        {"4k.segment", PAGE, 0, 1},
        {"2m.memfd", LARGE, 1, 0},
        {"2m.segment", LARGE, 1, 1},
    };
    appel_and_li();
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        for (size_t bytes = PAGE; bytes <= LARGEST; bytes *= 4)
            if (bytes >= ways[way].page)
                size(&ways[way], bytes);
    printf("MEMORY-DONE\n");
    fflush(stdout);
}

int main(void) {
    pid_t measuring = fork();
    if (measuring == 0) {
        measure();
        return 0;
    }
    waitpid(measuring, 0, 0);
    return reboot(RB_POWER_OFF);
}
