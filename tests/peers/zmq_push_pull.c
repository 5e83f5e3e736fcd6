/* One side of a measurement of libzmq: `pull ENDPOINT COUNT SIZE` or `push ENDPOINT COUNT SIZE`; or, between both,
 * `proxy ENDPOINT RECEIVER`.
 *
 * The receiver binds, says `bound ENDPOINT` on stderr, and checks every byte of every message. Each side prints one
 * line of JSON at its end. `version` prints the version of libzmq. */

#include "measure.h"

#define QUEUE_MESSAGES 1000
#define QUEUE_BYTES ((size_t)4 << 20)

/* `option` is a high-water mark: the default, but of large messages only as many as fit a processor's cache. */
static void *open_socket(void *context, int kind, int option, size_t size)
{
    size_t fit = QUEUE_BYTES / size;
    int high_water_mark = fit == 0 ? 1 : fit < QUEUE_MESSAGES ? (int)fit : QUEUE_MESSAGES;
    void *socket = new_socket(context, kind);
    set_int(socket, option, high_water_mark);
    return socket;
}

static void push(void *context, const char *endpoint, uint64_t count, size_t size)
{
    void *socket = open_socket(context, ZMQ_PUSH, ZMQ_SNDHWM, size);
    connect_socket(socket, endpoint);
    double start = now();
    for (uint64_t index = 0; index < count; index++)
        send_message(socket, size, index);
    double accepted = now() - start;
    /* It lingers until all is with the kernel. */
    close_socket(socket);
    end_context(context);
    printf("{\"accepted_seconds\": %.9f}\n", accepted);
}

/* Never ends by itself. */
static void proxy(void *context, const char *endpoint, const char *receiver)
{
    void *front = open_socket(context, ZMQ_PULL, ZMQ_RCVHWM, 256);
    void *back = open_socket(context, ZMQ_PUSH, ZMQ_SNDHWM, 256);
    connect_socket(back, receiver);
    bind_socket(front, endpoint);
    zmq_proxy(front, back, NULL);
    fail("zmq_proxy");
}

static void pull(void *context, const char *endpoint, uint64_t count, size_t size)
{
    void *socket = open_socket(context, ZMQ_PULL, ZMQ_RCVHWM, size);
    bind_socket(socket, endpoint);

    zmq_msg_t message;
    if (zmq_msg_init(&message) != 0)
        fail("zmq_msg_init");
    double start = 0;
    for (uint64_t index = 0; index < count; index++) {
        receive(&message, socket);
        if (index == 0)
            start = now();
        check(&message, size, index);
    }
    double seconds = now() - start;
    zmq_msg_close(&message);
    close_socket(socket);
    end_context(context);
    printf("{\"seconds\": %.9f}\n", seconds);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("%d.%d.%d\n", major, minor, patch);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "proxy") == 0) {
        proxy(new_context(), argv[2], argv[3]);
        return 0;
    }
    if (argc != 5) {
        fprintf(stderr, "usage: zmq_push_pull version | proxy ENDPOINT RECEIVER | (push|pull) ENDPOINT COUNT SIZE\n");
        return 2;
    }
    uint64_t count = strtoull(argv[3], NULL, 10);
    size_t size = strtoull(argv[4], NULL, 10);
    if (count == 0 || size < WORD_BYTES || size % WORD_BYTES != 0) {
        fprintf(stderr, "COUNT is at least 1, and SIZE a multiple of %d\n", WORD_BYTES);
        return 2;
    }
    void *context = new_context();
    if (strcmp(argv[1], "push") == 0)
        push(context, argv[2], count, size);
    else
        pull(context, argv[2], count, size);
    return 0;
}
