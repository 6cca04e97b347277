/*
 * fastplasma.hpp: fastplasma.h for C++17, with owners that give back what they hold.
 *
 * Expected outcomes are empty optionals and false: an object that is not there, an id that is taken, a time that is over. Everything else is an error with the status and the library's message.
 * Owners can be moved and not copied; they may be used and destroyed by other threads than the one that made them.
 *
 * Callbacks are called by the calling thread in list, holders, participants, list_stores and verify: what they throw ends the walk and is thrown there. Those of get_async, subscribe and the log are
 * called by threads of the library: an exception that leaves one of them ends the program (std::terminate), as one that leaves a std::thread does. None ever passes through the library.
 */
#ifndef FASTPLASMA_HPP
#define FASTPLASMA_HPP

#include <fastplasma.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fastplasma {

/* A call failed for another reason than those that its function returns. */
class error : public std::runtime_error {
public:
    error(fp_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    fp_status status() const noexcept { return status_; }
    const char *status_name() const noexcept { return fp_status_name(status_); } /* "FP_EXISTS" */

private:
    fp_status status_;
};

/* One attachment that kept memory of a full store from being freed; as fp_memory_holder. */
struct memory_holder {
    bool creates;
    int process_id;
    std::string process_name;
    int object_count, pin_count;
    std::int64_t bytes, since_ns;
    bool stopped, other_pid_namespace;
};

namespace detail {

/* Walks with a function of the library that calls back on this thread. What each throws ends the walk and is thrown here. */
template <class Info, class Each, class Walk>
void walk(Each &&each, Walk &&start)
{
    struct call {
        std::remove_reference_t<Each> *each;
        std::exception_ptr thrown;
    } call{&each, nullptr};
    fp_status status = start(
        [](void *context, Info info) -> int {
            auto *own = static_cast<struct call *>(context);
            try {
                (*own->each)(info);
                return 0;
            } catch (...) {
                own->thrown = std::current_exception();
                return 1;
            }
        },
        static_cast<void *>(&call));
    if (call.thrown)
        std::rethrow_exception(call.thrown);
    if (status != FP_OK)
        throw error(status, fp_last_error());
}

} // namespace detail

/* FP_STORE_FULL or FP_TOO_LARGE, with the numbers and who held what. */
class full_error : public error {
public:
    full_error(fp_status status, const std::string &message) : error(status, message)
    {
        report_.struct_size = sizeof report_;
        if (fp_last_full_report(&report_) != FP_OK)
            return;
        if (report_.reservation_error != nullptr)
            reservation_error_ = report_.reservation_error;
        report_.reservation_error = nullptr; /* Is the library's, and for a while. */
        detail::walk<const fp_memory_holder *>(
            [this](const fp_memory_holder *h) {
                holders_.push_back({h->creates != 0, h->process_id, h->process_name, h->object_count, h->pin_count, h->bytes, h->since_ns, h->stopped != 0, h->other_pid_namespace != 0});
            },
            fp_last_full_holders);
    }

    const fp_full_report &report() const noexcept { return report_; }
    const std::string &reservation_error() const noexcept { return reservation_error_; } /* "" if the system refused no memory */
    const std::vector<memory_holder> &holders() const noexcept { return holders_; }

private:
    fp_full_report report_{};
    std::string reservation_error_;
    std::vector<memory_holder> holders_;
};

inline void check(fp_status status)
{
    if (status == FP_STORE_FULL || status == FP_TOO_LARGE)
        throw full_error(status, std::string(fp_last_error()));
    if (status != FP_OK)
        throw error(status, fp_last_error());
}

inline const char *version() noexcept { return fp_version(); }

/* A time to wait; infinite, or as long as a duration rounded up to milliseconds. */
class timeout {
public:
    template <class Rep, class Period>
    timeout(std::chrono::duration<Rep, Period> duration) : ms_(std::chrono::ceil<std::chrono::milliseconds>(duration).count()) /* NOLINT: is meant to convert */
    {
        if (ms_ < 0)
            ms_ = 0;
    }

    static timeout infinite() noexcept { return timeout(); }

    std::int64_t ms() const noexcept { return ms_; }

private:
    timeout() noexcept : ms_(FP_INFINITE) {}

    std::int64_t ms_;
};

/* Names one object. A plain value. */
class id {
public:
    id() noexcept : value_{} {}
    explicit id(const fp_id &value) noexcept : value_(value) {}

    static id from_name(std::string_view name)
    {
        id result;
        check(fp_id_from_name(name.data(), name.size(), &result.value_));
        return result;
    }

    static id from_content(const void *content, std::size_t size)
    {
        id result;
        check(fp_id_from_content(content, size, &result.value_));
        return result;
    }

    static id random()
    {
        id result;
        check(fp_id_random(&result.value_));
        return result;
    }

    static id parse(std::string_view text)
    {
        id result;
        check(fp_id_parse(text.data(), text.size(), &result.value_));
        return result;
    }

    std::string to_string() const
    {
        char text[FP_ID_TEXT_SIZE];
        check(fp_id_format(&value_, text));
        return text;
    }

    const fp_id *get() const noexcept { return &value_; }

    friend bool operator==(const id &left, const id &right) noexcept { return std::memcmp(&left.value_, &right.value_, sizeof(fp_id)) == 0; }
    friend bool operator!=(const id &left, const id &right) noexcept { return !(left == right); }
    friend bool operator<(const id &left, const id &right) noexcept { return std::memcmp(&left.value_, &right.value_, sizeof(fp_id)) < 0; }

private:
    fp_id value_;
};

/* Options of fp_open; the members are those of fp_store_options. */
class store_options {
public:
    /* level is one of FP_LOG_... */
    using log_function = std::function<void(int level, std::string_view line)>;

    store_options() noexcept { fp_store_options_init(&value_); }

    /* Called with each line of the log, by threads of the library too, until the stores that were opened with these options are closed. */
    void log(log_function function)
    {
        log_ = std::make_shared<log_function>(std::move(function));
        value_.log = [](void *context, int level, const char *text) noexcept { (*static_cast<log_function *>(context))(level, text); };
        value_.log_context = log_.get();
    }

    const std::shared_ptr<log_function> &log() const noexcept { return log_; }

    fp_store_options *operator->() noexcept { return &value_; }
    const fp_store_options *get() const noexcept { return &value_; }

private:
    fp_store_options value_;
    std::shared_ptr<log_function> log_;
};

/* How one object is created. */
struct put_options {
    std::string_view name, content_type, metadata;
    int retention = FP_DEFAULT_RETENTION;
    int alignment = 0;
    bool checksum = false;
    std::optional<timeout> wait_for_memory; /* empty: the store's */
    std::optional<timeout> time_to_live;    /* from the seal on; empty: the store's */

    fp_object_options to_c() const noexcept
    {
        fp_object_options options;
        fp_object_options_init(&options);
        options.name = name.data();
        options.name_size = name.size();
        options.content_type = content_type.data();
        options.content_type_size = content_type.size();
        options.metadata = metadata.data();
        options.metadata_size = metadata.size();
        options.retention = retention;
        options.alignment = alignment;
        options.checksum = checksum ? 1 : 0;
        if (wait_for_memory)
            options.timeout_ms = wait_for_memory->ms();
        if (time_to_live)
            options.time_to_live_ms = time_to_live->ms();
        return options;
    }
};

/* Ends waits from another thread. */
class cancellation {
public:
    cancellation()
    {
        fp_cancellation *made = nullptr;
        check(fp_cancellation_new(&made));
        handle_.reset(made);
    }

    void cancel() { check(fp_cancel(handle_.get())); }

    fp_cancellation *handle() const noexcept { return handle_.get(); }

private:
    struct deleter {
        void operator()(fp_cancellation *handle) const noexcept { fp_cancellation_free(handle); }
    };

    std::unique_ptr<fp_cancellation, deleter> handle_;
};

/* How to wait: with spinning before sleeping, or so that it can be cancelled (then it throws an error of FP_CANCELLED). */
struct wait_options {
    std::chrono::microseconds spin{0};
    const cancellation *cancel = nullptr;

    fp_wait_options to_c() const noexcept
    {
        fp_wait_options options;
        fp_wait_options_init(&options);
        options.spin_us = spin.count();
        options.cancellation = cancel == nullptr ? nullptr : cancel->handle();
        return options;
    }
};

/* A pin on a sealed object: its bytes stay until it is destroyed. */
class object {
public:
    object() noexcept : value_{} {}
    explicit object(const fp_object &value) noexcept : value_(value) {} /* Takes the pin over. */
    object(object &&other) noexcept : value_(std::exchange(other.value_, fp_object{})) {}
    object &operator=(object &&other) noexcept
    {
        std::swap(value_, other.value_);
        return *this;
    }
    object(const object &) = delete;
    object &operator=(const object &) = delete;
    ~object() { release(); }

    explicit operator bool() const noexcept { return value_.data != nullptr; }

    const std::uint8_t *data() const noexcept { return value_.data; }
    std::size_t size() const noexcept { return static_cast<std::size_t>(value_.size); }
    const std::uint8_t *begin() const noexcept { return value_.data; }
    const std::uint8_t *end() const noexcept { return value_.data + value_.size; }
    std::string_view view() const noexcept { return {reinterpret_cast<const char *>(value_.data), size()}; }

    fastplasma::id id() const
    {
        fp_id result;
        check(fp_object_id(&value_, &result));
        return fastplasma::id(result);
    }

    /* In place, valid as long as the object. */
    std::string_view metadata() const
    {
        const void *text = nullptr;
        std::size_t size = 0;
        check(fp_object_metadata(&value_, &text, &size));
        return {static_cast<const char *>(text), size};
    }

    std::string_view name() const
    {
        const char *text = nullptr;
        std::size_t size = 0;
        check(fp_object_name(&value_, &text, &size));
        return {text, size};
    }

    std::string_view content_type() const
    {
        const char *text = nullptr;
        std::size_t size = 0;
        check(fp_object_content_type(&value_, &text, &size));
        return {text, size};
    }

    fp_object_details details() const
    {
        fp_object_details result{};
        result.struct_size = sizeof result;
        check(fp_object_details_get(&value_, &result));
        return result;
    }

    /* Whether the bytes still have the checksum that was stored; true when none was. */
    bool verify() const
    {
        std::int32_t matches = 0;
        check(fp_object_verify(&value_, &matches));
        return matches != 0;
    }

    void release() noexcept
    {
        fp_release(&value_);
        value_ = fp_object{};
    }

    const fp_object *handle() const noexcept { return &value_; }

private:
    fp_object value_;
};

/* An object that is being created. Destroyed before seal, it is given up. */
class writer {
public:
    explicit writer(const fp_writer &value) noexcept : value_(value) {}
    writer(writer &&other) noexcept : value_(std::exchange(other.value_, fp_writer{})) {}
    writer &operator=(writer &&other) noexcept
    {
        std::swap(value_, other.value_);
        return *this;
    }
    writer(const writer &) = delete;
    writer &operator=(const writer &) = delete;
    ~writer()
    {
        if (value_.data != nullptr)
            fp_abort(&value_);
    }

    std::uint8_t *data() const noexcept { return value_.data; }
    std::size_t size() const noexcept { return static_cast<std::size_t>(value_.size); }
    std::uint8_t *begin() const noexcept { return value_.data; }
    std::uint8_t *end() const noexcept { return value_.data + value_.size; }

    void seal()
    {
        check(fp_seal(&value_));
        value_ = fp_writer{};
    }

    /* Gives it up now. */
    void abort()
    {
        check(fp_abort(&value_));
        value_ = fp_writer{};
    }

    const fp_writer *handle() const noexcept { return &value_; }

private:
    fp_writer value_;
};

/* A place in the store's event order; one thread at a time. */
class subscription {
public:
    explicit subscription(fp_subscription *handle) noexcept : handle_(handle) {}

    /* Empty when the time is over. */
    std::optional<fp_event> next(timeout time, const wait_options &wait = {})
    {
        fp_wait_options options = wait.to_c();
        fp_event event;
        fp_status status = fp_next_event(handle_.get(), time.ms(), &options, &event);
        if (status == FP_TIMEOUT)
            return std::nullopt;
        check(status);
        return event;
    }

    std::int64_t lost() const
    {
        std::int64_t result = 0;
        check(fp_lost_events(handle_.get(), &result));
        return result;
    }

    fp_subscription *handle() const noexcept { return handle_.get(); }

private:
    struct deleter {
        void operator()(fp_subscription *handle) const noexcept { fp_unsubscribe(handle); }
    };

    std::unique_ptr<fp_subscription, deleter> handle_;
};

/* Events that a thread of the library hands to a function, until this is destroyed, which waits for a call that is running, or the store is closed. The function may destroy it too. */
class event_callback {
public:
    using function = std::function<void(const fp_event &event, std::int64_t lost)>;

    event_callback(fp_store *store, function each) : state_(std::make_shared<state>())
    {
        state_->each = std::move(each);
        check(fp_subscribe_callback(store, called, state_.get(), &state_->handle));
    }

    event_callback(event_callback &&) noexcept = default;
    event_callback &operator=(event_callback &&other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }
    ~event_callback() { end(); }

    std::int64_t lost() const
    {
        std::int64_t result = 0;
        check(fp_lost_events(handle(), &result));
        return result;
    }

    /* When this returns the function is not running and is never called again, unless it calls this itself. A second call does nothing. */
    void end() noexcept
    {
        if (state_)
            fp_unsubscribe(state_->handle);
        state_.reset();
    }

    fp_subscription *handle() const noexcept { return state_ ? state_->handle : nullptr; }

private:
    struct state : std::enable_shared_from_this<state> {
        function each;
        fp_subscription *handle = nullptr;
    };

    static void called(void *context, const fp_event *event, std::int64_t lost) noexcept
    {
        std::shared_ptr<state> kept = static_cast<state *>(context)->shared_from_this(); /* It may end itself. */
        kept->each(*event, lost);
    }

    std::shared_ptr<state> state_;
};

/* What verify has found. */
struct verify_report {
    std::int64_t objects, checksums_verified, payload_bytes;
    std::vector<std::string> problems, notes;
};

/* One attachment to a store. */
class store {
public:
    static store open(const std::string &name, const store_options &options = {}) { return make(fp_open, name, options); }
    static store create(const std::string &name, const store_options &options) { return make(fp_create_store, name, options); }
    static store open_or_create(const std::string &name, const store_options &options = {}) { return make(fp_open_or_create, name, options); }

    static store create_anonymous(const store_options &options = {})
    {
        fp_store *handle = nullptr;
        check(fp_create_anonymous(options.get(), &handle));
        return store(handle, options);
    }

    /* False when there was none. */
    static bool destroy(const std::string &name, const char *directory = nullptr)
    {
        fp_status status = fp_destroy(name.c_str(), directory);
        if (status != FP_NO_STORE)
            check(status);
        return status == FP_OK;
    }

    /* Names of the stores in a directory, sorted. */
    static std::vector<std::string> list_stores(const char *directory = nullptr)
    {
        std::vector<std::string> names;
        detail::walk<const char *>([&](const char *name) { names.emplace_back(name); },
            [&](fp_name_callback each, void *context) { return fp_list_stores(directory, each, context); });
        return names;
    }

    fp_store_details details() const
    {
        fp_store_details result{};
        result.struct_size = sizeof result;
        check(fp_store_details_get(handle(), &result));
        return result;
    }

    std::string name() const { return details().name; }

    void admit_reader(const std::string &user) { check(fp_admit_reader(handle(), user.c_str())); }

    /* How many dead processes were recovered. */
    int maintain()
    {
        std::int32_t result = 0;
        check(fp_maintain(handle(), &result));
        return result;
    }

    /* How many bytes were dropped. */
    std::int64_t evict(std::int64_t bytes)
    {
        std::int64_t result = 0;
        check(fp_evict(handle(), bytes, &result));
        return result;
    }

    /* How many bytes were given back. */
    std::int64_t trim()
    {
        std::int64_t result = 0;
        check(fp_trim(handle(), &result));
        return result;
    }

    void put(const id &id, const void *data, std::size_t size, const put_options &options = {})
    {
        fp_object_options c = options.to_c();
        check(fp_put(handle(), id.get(), data, static_cast<std::int64_t>(size), &c));
    }

    /* False when the id is taken. */
    bool try_put(const id &id, const void *data, std::size_t size, const put_options &options = {})
    {
        fp_object_options c = options.to_c();
        fp_status status = fp_put(handle(), id.get(), data, static_cast<std::int64_t>(size), &c);
        if (status != FP_EXISTS)
            check(status);
        return status == FP_OK;
    }

    /* What became of each; one that fails does not stop the others. */
    std::vector<fp_status> put_many(const std::vector<id> &ids, const std::vector<std::string_view> &payloads, const put_options &options = {})
    {
        if (ids.size() != payloads.size())
            throw std::invalid_argument("put_many takes one payload per id");
        std::vector<fp_buffer> buffers;
        for (std::string_view payload : payloads)
            buffers.push_back({payload.data(), static_cast<std::int64_t>(payload.size())});
        std::vector<std::int32_t> statuses(ids.size());
        fp_object_options c = options.to_c();
        check(fp_put_many(handle(), first(ids), buffers.data(), ids.size(), &c, statuses.data(), nullptr));
        std::vector<fp_status> result;
        for (std::int32_t status : statuses)
            result.push_back(static_cast<fp_status>(status));
        return result;
    }

    writer create(const id &id, std::size_t size, const put_options &options = {})
    {
        fp_object_options c = options.to_c();
        fp_writer made;
        check(fp_create(handle(), id.get(), static_cast<std::int64_t>(size), &c, &made));
        return writer(made);
    }

    /* What is there now, or nothing. */
    std::optional<object> try_get(const id &id)
    {
        fp_object got;
        fp_status status = fp_try_get(handle(), id.get(), &got);
        if (status == FP_NOT_FOUND)
            return std::nullopt;
        check(status);
        return object(got);
    }

    /* Waits; empty when the time is over. */
    std::optional<object> get(const id &id, timeout time, const wait_options &wait = {})
    {
        fp_wait_options options = wait.to_c();
        fp_object got;
        fp_status status = fp_get(handle(), id.get(), time.ms(), &options, &got);
        if (status == FP_NOT_FOUND || status == FP_TIMEOUT)
            return std::nullopt;
        check(status);
        return object(got);
    }

    /* One place per id; those that are not there are empty. Waits until needed of them are there, or the time is over. */
    std::vector<object> get_many(const std::vector<id> &ids, std::size_t needed, timeout time, const wait_options &wait = {})
    {
        std::vector<object> result(ids.size()); /* First: nothing can throw between pinning and owning. */
        std::vector<fp_object> got(ids.size());
        fp_wait_options options = wait.to_c();
        fp_status status = fp_get_many(handle(), first(ids), ids.size(), needed, time.ms(), &options, got.data(), nullptr);
        if (status != FP_TIMEOUT)
            check(status);
        for (std::size_t i = 0; i < got.size(); i++)
            result[i] = object(got[i]);
        return result;
    }

    /* Copies the payload, one copy, and pins nothing. Its size; empty when the time is over. Throws when the buffer is too small. */
    std::optional<std::size_t> get_into(const id &id, void *buffer, std::size_t buffer_size, timeout time, const wait_options &wait = {})
    {
        fp_wait_options options = wait.to_c();
        std::int64_t size = 0;
        fp_status status = fp_get_into(handle(), id.get(), time.ms(), &options, buffer, static_cast<std::int64_t>(buffer_size), &size);
        if (status == FP_NOT_FOUND || status == FP_TIMEOUT)
            return std::nullopt;
        check(status);
        return static_cast<std::size_t>(size);
    }

    /* Which of the ids are sealed, waiting until needed of them are, or the time is over. Pins none. */
    std::vector<bool> wait(const std::vector<id> &ids, std::size_t needed, timeout time, const wait_options &wait = {})
    {
        std::vector<std::uint8_t> ready(ids.size());
        fp_wait_options options = wait.to_c();
        fp_status status = fp_wait(handle(), first(ids), ids.size(), needed, time.ms(), &options, ready.data(), nullptr);
        if (status != FP_TIMEOUT)
            check(status);
        return std::vector<bool>(ready.begin(), ready.end());
    }

    /* Calls done once, by a thread of the library, with FP_OK and the object, or with why there is none and an empty one. The cancellation of wait must live until then. */
    void get_async(const id &id, timeout time, std::function<void(fp_status status, object got)> done, const wait_options &wait = {})
    {
        using function = std::function<void(fp_status, object)>;
        auto kept = std::make_unique<function>(std::move(done));
        fp_wait_options options = wait.to_c();
        check(fp_get_async(
            handle(), id.get(), time.ms(), &options,
            [](void *context, fp_status status, fp_object *got) noexcept {
                std::unique_ptr<function> call(static_cast<function *>(context));
                (*call)(status, got == nullptr ? object() : object(*got));
            },
            kept.get()));
        kept.release(); /* NOLINT: the callback has it. */
    }

    /* The object, or an error, of FP_TIMEOUT when the time is over. */
    std::future<object> get_async(const id &id, timeout time, const wait_options &wait = {})
    {
        auto promise = std::make_shared<std::promise<object>>();
        std::future<object> result = promise->get_future();
        get_async(
            id, time,
            [promise](fp_status status, object got) {
                if (status == FP_OK)
                    promise->set_value(std::move(got));
                else
                    promise->set_exception(std::make_exception_ptr(error(status, fp_last_error())));
            },
            wait);
        return result;
    }

    bool contains(const id &id)
    {
        fp_status status = fp_contains(handle(), id.get());
        if (status != FP_NOT_FOUND)
            check(status);
        return status == FP_OK;
    }

    /* False when there is none. */
    bool remove(const id &id)
    {
        fp_status status = fp_delete(handle(), id.get());
        if (status != FP_NOT_FOUND)
            check(status);
        return status == FP_OK;
    }

    /* Gives up what this attachment is creating under an id: FP_OK, FP_NOT_FOUND, FP_ALREADY_SEALED or FP_NOT_OWNER. No thread may be writing it. */
    fp_status abort(const id &id)
    {
        fp_status status = fp_abort_id(handle(), id.get());
        if (status != FP_NOT_FOUND && status != FP_ALREADY_SEALED && status != FP_NOT_OWNER)
            check(status);
        return status;
    }

    /* Calls each(const fp_event &, lost) for every event from now on, by a thread of the library. */
    [[nodiscard]] event_callback subscribe(event_callback::function each) { return event_callback(handle(), std::move(each)); }

    fastplasma::subscription subscribe()
    {
        fp_subscription *made = nullptr;
        check(fp_subscribe(handle(), &made));
        return fastplasma::subscription(made);
    }

    /* Calls each(const fp_object_info &) for every object. */
    template <class Each>
    void list(Each &&each)
    {
        detail::walk<const fp_object_info *>([&](const fp_object_info *info) { each(*info); }, [&](fp_object_info_callback call, void *context) { return fp_list(handle(), call, context); });
    }

    /* Calls each(const fp_pin_holder &) for everybody who pins an object. */
    template <class Each>
    void holders(Each &&each)
    {
        list_holders(nullptr, each);
    }

    /* Calls each(const fp_pin_holder &) for everybody who pins an object of that id. */
    template <class Each>
    void holders(const id &id, Each &&each)
    {
        list_holders(id.get(), each);
    }

    /* Calls each(const fp_participant_info &) for every attachment of every process. */
    template <class Each>
    void participants(Each &&each)
    {
        detail::walk<const fp_participant_info *>(
            [&](const fp_participant_info *info) { each(*info); }, [&](fp_participant_callback call, void *context) { return fp_list_participants(handle(), call, context); });
    }

    /* Walks everything and checks it; with checksums also the bytes of objects that have one. progress is called with 0 to 1. */
    verify_report verify(bool checksums = true, const std::function<void(double done)> &progress = {})
    {
        struct call {
            const std::function<void(double)> *progress;
            verify_report report;
            std::exception_ptr thrown;
        } call{&progress, {}, nullptr};
        fp_verify_report c{};
        c.struct_size = sizeof c;
        fp_status status = fp_verify(
            handle(), checksums ? 1 : 0,
            [](void *context, double done) -> int {
                auto *own = static_cast<struct call *>(context);
                try {
                    if (*own->progress)
                        (*own->progress)(done);
                    return 0;
                } catch (...) {
                    own->thrown = std::current_exception();
                    return 1;
                }
            },
            [](void *context, int is_problem, const char *text) {
                auto *own = static_cast<struct call *>(context);
                try {
                    (is_problem != 0 ? own->report.problems : own->report.notes).emplace_back(text);
                } catch (...) {
                    own->thrown = std::current_exception();
                }
            },
            &call, &c);
        if (call.thrown)
            std::rethrow_exception(call.thrown);
        check(status);
        call.report.objects = c.objects;
        call.report.checksums_verified = c.checksums_verified;
        call.report.payload_bytes = c.payload_bytes;
        return std::move(call.report);
    }

    fp_store_stats stats()
    {
        fp_store_stats result{};
        result.struct_size = sizeof result;
        check(fp_stats(handle(), &result));
        return result;
    }

    fp_store *handle() const noexcept { return handle_.get(); }

private:
    struct deleter {
        std::shared_ptr<store_options::log_function> log; /* As long as the store is open. */

        void operator()(fp_store *handle) const noexcept { fp_close(handle); }
    };

    store(fp_store *handle, const store_options &options) noexcept : handle_(handle, deleter{options.log()}) {}

    static const fp_id *first(const std::vector<id> &ids) noexcept
    {
        static_assert(sizeof(id) == sizeof(fp_id), "ids are plain values");
        return ids.empty() ? nullptr : ids.data()->get();
    }

    template <class Each>
    void list_holders(const fp_id *id, Each &&each)
    {
        detail::walk<const fp_pin_holder *>(
            [&](const fp_pin_holder *holder) { each(*holder); }, [&](fp_pin_holder_callback call, void *context) { return fp_list_holders(handle(), id, call, context); });
    }

    static store make(fp_status (*open)(const char *, const fp_store_options *, fp_store **), const std::string &name, const store_options &options)
    {
        fp_store *handle = nullptr;
        check(open(name.c_str(), options.get(), &handle));
        return store(handle, options);
    }

    std::unique_ptr<fp_store, deleter> handle_;
};

} // namespace fastplasma

#endif // FASTPLASMA_HPP
