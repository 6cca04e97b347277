// Holds fastplasma.hpp to what it says. Ends with 0, or says what was not kept.
#include <fastplasma.hpp>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

using namespace std::chrono_literals;
using fastplasma::id;

#define CHECK(what) \
    do { \
        if (!(what)) { \
            std::fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            std::exit(1); \
        } \
    } while (0)

template <class Call>
static fp_status thrown_by(Call &&call)
{
    try {
        call();
        return FP_OK;
    } catch (const fastplasma::error &e) {
        CHECK(e.what()[0] != 0);
        return e.status();
    }
}

static int pins_of(fastplasma::store &store)
{
    int pins = 0;
    store.list([&](const fp_object_info &info) { pins += info.pin_count; });
    return pins;
}

int main()
{
    fastplasma::store_options options;
    options->capacity_bytes = 16 << 20;
    options->object_count_max = 1024;
    fastplasma::store store = fastplasma::store::create_anonymous(options);
    id a = id::from_name("a"), b = id::from_name("b");
    CHECK(a != b && a == id::parse(a.to_string()) && id::random() != id::random() && id::from_content("a", 1) == a);
    CHECK((std::set<id>{a, b, a}.size() == 2));

    fastplasma::put_options named;
    named.name = "name";
    named.content_type = "text/plain";
    named.metadata = std::string_view("me\0ta", 5);
    named.checksum = true;
    store.put(a, "hello", 5, named);
    CHECK(!store.try_put(a, "x", 1));
    CHECK(thrown_by([&] { store.put(a, "x", 1); }) == FP_EXISTS);
    CHECK(store.contains(a) && !store.contains(b));

    {
        std::optional<fastplasma::object> first = store.try_get(a);
        CHECK(first && first->view() == "hello" && first->id() == a && first->name() == "name" && first->content_type() == "text/plain");
        CHECK(first->metadata() == named.metadata && first->verify() && first->details().has_checksum == 1);
        fastplasma::object moved = std::move(*first);
        CHECK(!*first && moved && moved.view() == "hello" && pins_of(store) == 1);
        fastplasma::object target = std::move(*store.try_get(a));
        CHECK(pins_of(store) == 2);
        target = std::move(moved);
        CHECK(target.view() == "hello");
    }
    CHECK(pins_of(store) == 0);
    CHECK(!store.try_get(b) && !store.get(b, 0s) && !store.get(b, 2ms));

    {
        fastplasma::writer given_up = store.create(b, 10);
        CHECK(thrown_by([&] { store.create(b, 10); }) == FP_EXISTS);
    }
    {
        fastplasma::writer writer = store.create(b, 3);
        fastplasma::writer moved = std::move(writer);
        std::memcpy(moved.data(), "abc", 3);
        moved.seal();
        CHECK(thrown_by([&] { moved.seal(); }) != FP_OK);
    }
    CHECK(store.get(b, fastplasma::timeout::infinite())->view() == "abc");

    {
        std::vector<fastplasma::object> objects = store.get_many({a, id::from_name("none"), b}, 2, 1s);
        CHECK(objects.size() == 3 && objects[0].view() == "hello" && !objects[1] && objects[2].view() == "abc" && pins_of(store) == 2);
        objects = store.get_many({a, id::from_name("none")}, 2, 1ms);
        CHECK(objects[0] && !objects[1] && store.get_many({}, 0, 0s).empty());
    }
    CHECK(pins_of(store) == 0);

    fastplasma::subscription events = store.subscribe();
    CHECK(!events.next(0s));
    CHECK(store.remove(a) && !store.remove(a));
    CHECK(events.next(1s)->kind == FP_DELETED && events.lost() == 0);

    fastplasma::cancellation cancel;
    fastplasma::wait_options cancelled;
    cancelled.spin = 10us;
    cancelled.cancel = &cancel;
    std::thread other([&] { cancel.cancel(); });
    CHECK(thrown_by([&] { store.get(a, fastplasma::timeout::infinite(), cancelled); }) == FP_CANCELLED);
    other.join();

    // What a callback throws arrives here.
    try {
        store.list([](const fp_object_info &) { throw 42; });
        CHECK(!"reached");
    } catch (int value) {
        CHECK(value == 42);
    }

    fastplasma::put_options wait;
    wait.wait_for_memory = 1ms;
    CHECK(thrown_by([&] { store.create(a, 1 << 30); }) == FP_TOO_LARGE);
    fastplasma::writer big = store.create(a, 12 << 20);
    CHECK(thrown_by([&] { store.create(id::random(), 12 << 20, wait); }) == FP_STORE_FULL);
    CHECK(store.stats().creating_count == 1);
    CHECK(thrown_by([] { fastplasma::store::open("no such store"); }) == FP_INVALID_ARGUMENT && thrown_by([] { fastplasma::store::open("no-such-store"); }) == FP_NO_STORE);
    CHECK(!fastplasma::store::destroy("no-such-store"));
    return 0; // big outlives nothing: it is given up before the store is closed.
}
