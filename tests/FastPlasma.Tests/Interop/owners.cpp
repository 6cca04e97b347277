// Holds fastplasma.hpp to what it says, every function of it. Ends with 0, or says what was not kept. The first argument names a store that it may create; a second one a callback that throws.
#include <fastplasma.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
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
        CHECK(e.what()[0] != 0 && std::string_view(e.status_name()) == fp_status_name(e.status()));
        return e.status();
    }
}

static int pins_of(fastplasma::store &store)
{
    int pins = 0;
    store.list([&](const fp_object_info &info) { pins += info.pin_count; });
    return pins;
}

template <class Condition>
static bool eventually(Condition &&condition)
{
    for (auto end = std::chrono::steady_clock::now() + 30s; !condition(); std::this_thread::sleep_for(1ms))
        if (std::chrono::steady_clock::now() > end)
            return false;
    return true;
}

// Everything about named stores, and their log.
static void named_stores(const std::string &name)
{
    std::atomic<int> admitted{0}, others{0};
    {
        fastplasma::store_options options;
        options->capacity_bytes = 16 << 20;
        options.log([&](int level, std::string_view line) {
            (level == FP_LOG_INFORMATION && line.find("Admitted user 65534") != line.npos && line.find(name) != line.npos ? admitted : others)++;
        });
        fastplasma::store made = fastplasma::store::create(name, options);
        CHECK(thrown_by([&] { fastplasma::store::create(name, options); }) == FP_EXISTS);
        fastplasma::store second = fastplasma::store::open_or_create(name), third = fastplasma::store::open(name);
        options.log([](int, std::string_view) { std::abort(); }); // Of later stores; made keeps its own.
        made.admit_reader("65534");
        CHECK(admitted == 1 && others == 0);
        fp_store_details details = made.details();
        CHECK(made.name() == name && details.access == FP_READ_WRITE && details.capacity_bytes == 16 << 20);
        std::vector<std::string> names = fastplasma::store::list_stores(), here = fastplasma::store::list_stores("/dev/shm");
        CHECK(std::count(names.begin(), names.end(), name) == 1 && std::count(here.begin(), here.end(), name) == 1);
        CHECK(thrown_by([] { fastplasma::store::list_stores("/no/such/directory"); }) == FP_IO_ERROR);
        int alive = 0, own = 0;
        made.participants([&](const fp_participant_info &info) { alive += info.alive, own += info.process_id == getpid(); });
        CHECK(alive == 3 && own == 3);
        second = std::move(third); // Closes what second was.
        id a = id::from_name("a");
        made.put(a, "hello", 5);
        CHECK(second.try_get(a)->view() == "hello");
        fastplasma::writer writer = made.create(id::from_name("b"), 1);
        CHECK(second.abort(id::from_name("b")) == FP_NOT_OWNER && made.abort(id::from_name("b")) == FP_OK && made.abort(id::from_name("b")) == FP_NOT_FOUND && made.abort(a) == FP_ALREADY_SEALED);
        CHECK(thrown_by([&] { writer.abort(); }) == FP_CLOSED);
        CHECK(made.maintain() == 0);
    }
    CHECK(fastplasma::store::destroy(name, "/dev/shm") && !fastplasma::store::destroy(name));
}

static void asynchronous(fastplasma::store &store)
{
    id there = id::from_name("there"), later = id::from_name("later"), never = id::from_name("never");
    store.put(there, "x", 1);
    CHECK(store.get_async(there, 0s).get().view() == "x");
    std::future<fastplasma::object> coming = store.get_async(later, 30s);
    CHECK(coming.wait_for(1ms) == std::future_status::timeout);
    store.put(later, "later", 5);
    CHECK(coming.get().view() == "later");
    CHECK(thrown_by([&] { store.get_async(never, 5ms).get(); }) == FP_TIMEOUT && thrown_by([&] { store.get_async(never, 0s).get(); }) == FP_TIMEOUT);
    try {
        store.get_async(never, 1ms).get();
    } catch (const fastplasma::error &e) {
        CHECK(std::string(e.what()).find(never.to_string()) != std::string::npos);
    }
    fastplasma::cancellation cancel;
    fastplasma::wait_options cancelled;
    cancelled.cancel = &cancel;
    std::future<fastplasma::object> ended = store.get_async(never, fastplasma::timeout::infinite(), cancelled);
    cancel.cancel();
    CHECK(thrown_by([&] { ended.get(); }) == FP_CANCELLED);
    { // Nobody asks for what came: the pin ends with the promise.
        std::future<fastplasma::object> forgotten = store.get_async(there, 0s);
    }

    std::atomic<int> calls{0};
    std::thread::id caller = std::this_thread::get_id();
    auto kept = std::make_shared<int>(1);
    store.get_async(there, 0s, [&, kept](fp_status status, fastplasma::object got) { calls += status == FP_OK && got.view() == "x" && std::this_thread::get_id() != caller; });
    store.get_async(never, 1ms, [&, kept](fp_status status, fastplasma::object got) { calls += status == FP_TIMEOUT && !got; });
    CHECK(eventually([&] { return calls == 2 && kept.use_count() == 1; })); // The functions are gone.
    CHECK(eventually([&] { return pins_of(store) == 0; }));
    {
        fastplasma::store closed = fastplasma::store::create_anonymous();
        fp_close(closed.handle());
        CHECK(thrown_by([&] { closed.get_async(there, 0s, [&, kept](fp_status, fastplasma::object) { std::abort(); }); }) == FP_CLOSED && kept.use_count() == 1);
    }
    store.remove(there);
    store.remove(later);
}

static void called_events(fastplasma::store &store)
{
    id a = id::from_name("called");
    std::atomic<int> sealed{0}, deleted{0}, once{0};
    fastplasma::event_callback events = store.subscribe([&](const fp_event &event, std::int64_t lost) { (event.kind == FP_SEALED ? sealed : deleted) += lost == 0 ? 1 : 1000; });
    std::optional<fastplasma::event_callback> itself;
    std::atomic<bool> is_set{false};
    itself.emplace(store.subscribe([&](const fp_event &, std::int64_t) {
        while (!is_set)
            std::this_thread::yield();
        itself.reset();
        once++;
    }));
    is_set = true;
    for (int i = 0; i < 10; i++) {
        store.put(a, "x", 1);
        store.remove(a);
    }
    CHECK(eventually([&] { return sealed == 10 && deleted == 10 && once == 1; }) && events.lost() == 0 && events.handle() != nullptr);
    fastplasma::event_callback moved = std::move(events);
    CHECK(events.handle() == nullptr); // NOLINT: that it is empty is what is looked at.
    moved.end();
    moved.end();
    store.put(a, "x", 1);
    store.remove(a);
    CHECK(sealed == 10 && once == 1 && thrown_by([&] { moved.lost(); }) == FP_INVALID_ARGUMENT);
}

static void looking_in(fastplasma::store &store)
{
    id a = id::from_name("seen"), b = id::from_name("seen too");
    std::vector<fp_status> put = store.put_many({a, b, a}, {"hello", "", "x"});
    CHECK((put == std::vector<fp_status>{FP_OK, FP_OK, FP_EXISTS}) && store.put_many({}, {}).empty());
    try {
        store.put_many({a}, {});
        CHECK(!"reached");
    } catch (const std::invalid_argument &) {
    }
    CHECK((store.wait({a, id::random(), b}, 2, 1s) == std::vector<bool>{true, false, true}) && (store.wait({id::random()}, 1, 1ms) == std::vector<bool>{false}));
    char buffer[8] = {};
    CHECK(store.get_into(a, buffer, sizeof buffer, 0s) == std::size_t{5} && std::string_view(buffer) == "hello" && !store.get_into(id::random(), buffer, 8, 1ms));
    CHECK(thrown_by([&] { store.get_into(a, buffer, 4, 0s); }) == FP_INVALID_ARGUMENT);

    fastplasma::object first = *store.try_get(a), second = *store.try_get(a), third = *store.try_get(b);
    int seen = 0;
    store.holders([&](const fp_pin_holder &holder) { seen += holder.pin_count * (id(holder.id) == a ? 1 : 100) + (holder.process_id == getpid() ? 0 : 1000); });
    CHECK(seen == 102);
    store.holders(b, [&](const fp_pin_holder &holder) { seen += holder.pin_count; });
    CHECK(seen == 103);
    std::vector<double> progress;
    fastplasma::verify_report report = store.verify(true, [&](double done) { progress.push_back(done); });
    CHECK(report.objects == 2 && report.checksums_verified == 0 && report.payload_bytes == 5 && report.problems.empty() && report.notes.empty() && progress.back() == 1);
    CHECK(store.verify(false).problems.empty());

    // What a callback of the calling thread throws arrives here.
    int thrown = 0;
    auto throws = [](auto &&...) { throw 42; };
    auto arrives = [&](auto &&call) {
        try {
            call();
        } catch (int value) {
            thrown += value == 42;
        }
    };
    arrives([&] { store.list(throws); });
    arrives([&] { store.holders(throws); });
    arrives([&] { store.holders(a, throws); });
    arrives([&] { store.participants(throws); });
    arrives([&] { store.verify(true, throws); });
    CHECK(thrown == 5);
    store.remove(a);
    store.remove(b);
}

static void full_stores(fastplasma::store &store)
{
    id a = id::from_name("pinned");
    store.put(a, "x", 1);
    fastplasma::object held = *store.try_get(a);
    fastplasma::writer big = store.create(id::random(), 12 << 20);
    try {
        store.create(id::random(), 12 << 20);
        CHECK(!"reached");
    } catch (const fastplasma::full_error &e) {
        CHECK(e.status() == FP_STORE_FULL && e.report().requested_bytes == 12 << 20 && e.report().creating_bytes >= 12 << 20 && e.reservation_error().empty() && e.holders().size() == 2);
        const fastplasma::memory_holder &reader = e.holders()[0], &creator = e.holders()[1];
        CHECK(!reader.creates && reader.pin_count == 1 && reader.object_count == 1 && reader.process_id == getpid() && reader.process_name == "owners.cpp.out" && reader.since_ns > 0);
        CHECK(creator.creates && creator.bytes >= 12 << 20 && !creator.stopped && !creator.other_pid_namespace);
    }
    big.abort();
    store.remove(a);
    fastplasma::put_options evictable;
    evictable.retention = FP_EVICTABLE;
    store.put(a, "x", 1, evictable);
    CHECK(store.evict(1) > 0 && !store.contains(a) && store.trim() >= 0);
}

// An exception that leaves a callback of a thread of the library ends the program.
static int thrower(const std::string &which)
{
    std::set_terminate([] {
        std::puts("terminated");
        std::fflush(stdout);
        std::_Exit(0);
    });
    fastplasma::store store = fastplasma::store::create_anonymous();
    id a = id::from_name("a");
    fastplasma::event_callback events = store.subscribe([&](const fp_event &, std::int64_t) {
        if (which == "event")
            throw 42;
    });
    store.put(a, "x", 1);
    if (which == "get")
        store.get_async(a, 0s, [](fp_status, fastplasma::object) { throw 42; });
    std::this_thread::sleep_for(30s);
    return 1;
}

int main(int count, char **arguments)
{
    CHECK(count >= 2);
    if (count == 3)
        return thrower(arguments[2]);
    CHECK(std::string_view(fastplasma::version()) == "0.1.0");
    named_stores(arguments[1]);
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

    fastplasma::put_options wait;
    wait.wait_for_memory = 1ms;
    CHECK(thrown_by([&] { store.create(a, 1 << 30); }) == FP_TOO_LARGE);
    fastplasma::writer big = store.create(a, 12 << 20);
    CHECK(thrown_by([&] { store.create(id::random(), 12 << 20, wait); }) == FP_STORE_FULL);
    CHECK(store.stats().creating_count == 1);
    CHECK(thrown_by([] { fastplasma::store::open("no such store"); }) == FP_INVALID_ARGUMENT && thrown_by([] { fastplasma::store::open("no-such-store"); }) == FP_NO_STORE);
    CHECK(!fastplasma::store::destroy("no-such-store"));

    options->object_count_max = 64;
    fastplasma::store other_store = fastplasma::store::create_anonymous(options);
    CHECK(other_store.name().empty());
    asynchronous(other_store);
    called_events(other_store);
    looking_in(other_store);
    full_stores(other_store);
    return 0; // big outlives nothing: it is given up before the store is closed.
}
