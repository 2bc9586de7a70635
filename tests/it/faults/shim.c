/* Moves the calendar clock of a process by the seconds in the file FAULT_CLOCK, and lets the name
   upstream.invalid be this machine's once the file FAULT_NAME is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    const char *path = getenv("FAULT_CLOCK");
    if (result == 0 && clock == CLOCK_REALTIME && path) {
        char text[32] = {0};
        int file = open(path, O_RDONLY);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
            close(file);
        }
    }
    return (int)result;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("FAULT_NAME");
    if (name && path && strcmp(name, "upstream.invalid") == 0) {
        if (access(path, F_OK) != 0) return EAI_NONAME;
        name = "127.0.0.1";
    }
    return real(name, service, hints, found);
}
