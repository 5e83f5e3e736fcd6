/* One side of a measurement of libzmq's fan-out: `pub ENDPOINT COUNT SIZE SUBSCRIBERS [HWM]` or, with the same words, `sub`.
 *
 * The publisher binds, says `bound ENDPOINT` on stderr, waits for all subscribers, and then publishes without waiting for
 * anybody: what finds a queue full is dropped, as libzmq does. The subscribers are sockets of one process and of one thread
 * that polls them (with many of them a thread each is a third slower); it checks every byte that arrives, and counts. Each
 * side prints one line of JSON at its end. HWM is the high-water mark of the queues on both sides: 1000 unless given; with 0
 * they have no limit, and nothing is dropped. */

#include <errno.h>

#include "measure.h"

#define QUEUE_MESSAGES 1000

/* The last message of all is empty. It may be dropped like any other, so it is sent until everybody has left. */
#define END_INTERVAL_MS 1

struct load {
    uint64_t count;
    size_t size;
    size_t subscribers;
    int high_water_mark;
};

struct subscriber {
    void *socket;
    uint64_t arrived;
    uint64_t next;
    int ended;
};

/* Waits for so many subscriptions (1) or ends of them (0), for each of which libzmq has a message. */
static size_t await(void *socket, size_t wanted, unsigned char kind, int flags)
{
    unsigned char news[2];
    size_t seen = 0;
    while (seen < wanted) {
        if (zmq_recv(socket, news, sizeof news, flags) < 0) {
            if (errno == EAGAIN)
                break;
            fail("zmq_recv");
        }
        seen += news[0] == kind;
    }
    return seen;
}

/* An XPUB is a PUB that also tells who subscribes. */
static void publish(void *context, const char *endpoint, const struct load *load)
{
    void *socket = new_socket(context, ZMQ_XPUB);
    set_int(socket, ZMQ_SNDHWM, load->high_water_mark);
    set_int(socket, ZMQ_XPUB_VERBOSER, 1);
    bind_socket(socket, endpoint);
    await(socket, load->subscribers, 1, 0);

    double start = now();
    for (uint64_t index = 0; index < load->count; index++)
        send_message(socket, load->size, index);
    double published = now() - start;

    set_int(socket, ZMQ_RCVTIMEO, END_INTERVAL_MS);
    for (size_t left = load->subscribers; left > 0; left -= await(socket, left, 0, 0)) {
        if (zmq_send(socket, "", 0, 0) < 0)
            fail("zmq_send");
    }
    set_int(socket, ZMQ_LINGER, 0);
    close_socket(socket);
    end_context(context);
    printf("{\"published_seconds\": %.9f}\n", published);
}

/* Takes all that is at hand; gives how many messages that were. */
static uint64_t take(struct subscriber *subscriber, const struct load *load, zmq_msg_t *message)
{
    uint64_t taken = 0;
    while (zmq_msg_recv(message, subscriber->socket, ZMQ_DONTWAIT) >= 0) {
        uint64_t index = 0;
        if (zmq_msg_size(message) == 0) {
            subscriber->ended = 1;
            break;
        }
        if (zmq_msg_size(message) >= WORD_BYTES)
            memcpy(&index, zmq_msg_data(message), WORD_BYTES);
        check(message, load->size, index);
        if (index < subscriber->next) {
            fprintf(stderr, "a message is not what was published\n");
            exit(1);
        }
        subscriber->next = index + 1;
        taken++;
    }
    if (!subscriber->ended && errno != EAGAIN)
        fail("zmq_msg_recv");
    subscriber->arrived += taken;
    return taken;
}

static void subscribe(void *context, const char *endpoint, const struct load *load)
{
    zmq_pollitem_t *items = calloc(load->subscribers, sizeof *items);
    struct subscriber *all = calloc(load->subscribers, sizeof *all);
    zmq_msg_t message;
    if (items == NULL || all == NULL || zmq_msg_init(&message) != 0)
        fail("memory");
    for (size_t place = 0; place < load->subscribers; place++) {
        void *socket = all[place].socket = new_socket(context, ZMQ_SUB);
        set_int(socket, ZMQ_RCVHWM, load->high_water_mark);
        if (zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) != 0)
            fail("zmq_setsockopt");
        connect_socket(socket, endpoint);
        items[place] = (zmq_pollitem_t){ .socket = socket, .events = ZMQ_POLLIN };
    }

    double first = 0, last = 0;
    uint64_t total = 0, least = UINT64_MAX, most = 0;
    for (size_t open = load->subscribers; open > 0;) {
        if (zmq_poll(items, (int)open, -1) < 0)
            fail("zmq_poll");
        uint64_t before = total;
        if (first == 0)
            first = now();
        for (size_t place = open; place-- > 0;) {
            struct subscriber *subscriber = &all[place];
            if (!(items[place].revents & ZMQ_POLLIN))
                continue;
            total += take(subscriber, load, &message);
            if (!subscriber->ended)
                continue;
            close_socket(subscriber->socket);
            least = subscriber->arrived < least ? subscriber->arrived : least;
            most = subscriber->arrived > most ? subscriber->arrived : most;
            /* The last one takes its place. */
            open--;
            all[place] = all[open];
            items[place] = items[open];
        }
        if (total > before)
            last = now();
    }
    zmq_msg_close(&message);
    free(items);
    free(all);
    end_context(context);
    printf("{\"seconds\": %.9f, \"messages\": %" PRIu64 ", \"least\": %" PRIu64 ", \"most\": %" PRIu64 "}\n",
           last - first, total, least, most);
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: zmq_pub_sub (pub|sub) ENDPOINT COUNT SIZE SUBSCRIBERS [HWM]\n");
        return 2;
    }
    struct load load = {
        .count = strtoull(argv[3], NULL, 10),
        .size = strtoull(argv[4], NULL, 10),
        .subscribers = strtoull(argv[5], NULL, 10),
        .high_water_mark = argc == 7 ? atoi(argv[6]) : QUEUE_MESSAGES,
    };
    if (load.count == 0 || load.subscribers == 0 || load.size < WORD_BYTES || load.size % WORD_BYTES != 0) {
        fprintf(stderr, "COUNT and SUBSCRIBERS are at least 1, and SIZE a multiple of %d\n", WORD_BYTES);
        return 2;
    }
    void *context = new_context();
    if (zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)load.subscribers + 16) != 0)
        fail("zmq_ctx_set");
    if (strcmp(argv[1], "pub") == 0)
        publish(context, argv[2], &load);
    else
        subscribe(context, argv[2], &load);
    return 0;
}
