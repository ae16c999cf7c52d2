/* Load for benchmarks/path.py: HTTP connections and new UDP flows, cheap enough that the path is what is measured.
 *
 *   load http-server PORT
 *   load http-client ADDRESS PORT SECONDS PARALLEL [FIRST]
 *                                                      prints connections per second, how many failed and how many
 *                                                      did not; FIRST: each from a port of its own, beginning with
 *                                                      it, instead of one that the kernel chooses; ends with the last
 *   load udp-count PORT SECONDS                        prints packets received per second of the sender's time
 *   load udp-flows ADDRESS PORT SECONDS SOURCE         each packet a new flow (source port, then source address, changes)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) die("address");
    return a;
}

static void watch(int poll, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

static _Noreturn void http_server(int port) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = address("0.0.0.0", port);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 4096)) die("listen");
    watch(poll, listener, EPOLLIN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[256];
        int n = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int peer;
                while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) watch(poll, peer, EPOLLIN);
                continue;
            }
            char buffer[2048];
            if (read(fd, buffer, sizeof buffer) > 0 && write(fd, answer, sizeof answer - 1) < 0) perror("write");
            close(fd);
        }
    }
}

/* 0: the kernel chooses. */
static int next_port = 0;

/* The next one that nobody has; after the last one, whatever the kernel chooses. */
static void own_port(int fd) {
    int on = 1, failed = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    while (failed && next_port <= 65535) {
        from.sin_port = htons(next_port++);
        failed = bind(fd, (struct sockaddr *)&from, sizeof from);
        if (failed && errno != EADDRINUSE) die("bind");
    }
}

static void connect_one(int poll, const struct sockaddr_in *to) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct linger hard = {1, 0};
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (next_port) own_port(fd);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS) die("connect");
    watch(poll, fd, EPOLLOUT);
}

static int http_client(const char *ip, int port, double seconds, int parallel) {
    static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = address(ip, port);
    int poll = epoll_create1(0);
    long done = 0, failed = 0;
    double begin = now(), end = begin + seconds;
    for (int i = 0; i < parallel; i++) connect_one(poll, &to);
    while (now() < end && next_port <= 65535) {
        struct epoll_event ready[256];
        int n = epoll_wait(poll, ready, 256, 100);
        for (int i = 0; i < n && next_port <= 65535; i++) {
            int fd = ready[i].data.fd;
            if (ready[i].events & EPOLLOUT && !(ready[i].events & EPOLLERR)) {
                struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
                if (write(fd, ask, sizeof ask - 1) > 0) {
                    epoll_ctl(poll, EPOLL_CTL_MOD, fd, &e);
                    continue;
                }
            }
            char buffer[2048];
            if (read(fd, buffer, sizeof buffer) > 0) done++;
            else failed++;
            close(fd);
            connect_one(poll, &to);
        }
    }
    printf("%.0f %ld %ld\n", done / (now() - begin), failed, done);
    return 0;
}

static int udp_count(int port, double seconds) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 64 << 20;
    struct sockaddr_in a = address("0.0.0.0", port);
    struct timeval patience = {0, 200000};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind");
    puts("ready");
    fflush(stdout);
    long count = 0;
    double first = 0, last = 0, give_up = now() + seconds + 3;
    struct mmsghdr messages[64];
    struct iovec parts[64];
    static char buffers[64][256];
    for (int i = 0; i < 64; i++) {
        parts[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    while (now() < give_up && (!first || now() - last < 0.8)) {
        int n = recvmmsg(fd, messages, 64, MSG_WAITFORONE, NULL);
        if (n <= 0) continue;
        if (!first) first = now();
        last = now();
        count += n;
    }
    printf("%.0f %ld\n", count / (last > first ? last - first : 1), count);
    return 0;
}

static int udp_flows(const char *ip, int port, double seconds, const char *source) {
    struct packet {
        struct iphdr ip;
        struct udphdr udp;
        char body[32];
    } __attribute__((packed));
    static struct packet packets[64];
    struct mmsghdr messages[64];
    struct iovec parts[64];
    struct sockaddr_in to = address(ip, 0), from = address(source, 0);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) die("raw socket");
    uint32_t host = ntohl(from.sin_addr.s_addr);
    uint16_t sport = 1024;
    long sent = 0;
    for (int i = 0; i < 64; i++) {
        packets[i].ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
        packets[i].ip.tot_len = htons(sizeof(struct packet));
        packets[i].ip.daddr = to.sin_addr.s_addr;
        packets[i].udp = (struct udphdr){.dest = htons(port), .len = htons(sizeof(struct packet) - sizeof(struct iphdr))};
        parts[i] = (struct iovec){&packets[i], sizeof(struct packet)};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    double begin = now(), end = begin + seconds;
    while (now() < end) {
        for (int i = 0; i < 64; i++) {
            if (!++sport) sport = 1024, host++;
            packets[i].ip.saddr = htonl(host);
            packets[i].udp.source = htons(sport);
        }
        int n = sendmmsg(fd, messages, 64, 0);
        if (n > 0) sent += n;
    }
    printf("%.0f %ld\n", sent / (now() - begin), sent);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "http-server")) http_server(atoi(argv[2]));
    if (argc == 7 && !strcmp(argv[1], "http-client")) next_port = atoi(argv[6]);
    if ((argc == 6 || argc == 7) && !strcmp(argv[1], "http-client"))
        return http_client(argv[2], atoi(argv[3]), atof(argv[4]), atoi(argv[5]));
    if (argc == 4 && !strcmp(argv[1], "udp-count")) return udp_count(atoi(argv[2]), atof(argv[3]));
    if (argc == 6 && !strcmp(argv[1], "udp-flows")) return udp_flows(argv[2], atoi(argv[3]), atof(argv[4]), argv[5]);
    fputs("usage: see the head of load.c\n", stderr);
    return 2;
}
