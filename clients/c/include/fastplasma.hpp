/*
 * fastplasma.hpp: fastplasma.h for C++17, with owners that give back what they hold.
 *
 * Expected outcomes are empty optionals and false: an object that is not there, an id that is taken, a time that is over. Everything else is an error with the status and the library's message.
 * Owners can be moved and not copied; they may be used and destroyed by other threads than the one that made them. What is missing here is called with handle().
 */
#ifndef FASTPLASMA_HPP
#define FASTPLASMA_HPP

#include <fastplasma.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastplasma {

/* A call failed for another reason than those that its function returns. */
class error : public std::runtime_error {
public:
    error(fp_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    fp_status status() const noexcept { return status_; }

private:
    fp_status status_;
};

inline void check(fp_status status)
{
    if (status != FP_OK)
        throw error(status, fp_last_error());
}

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
    store_options() noexcept { fp_store_options_init(&value_); }

    fp_store_options *operator->() noexcept { return &value_; }
    const fp_store_options *get() const noexcept { return &value_; }

private:
    fp_store_options value_;
};

/* How one object is created. */
struct put_options {
    std::string_view name, content_type, metadata;
    int retention = FP_DEFAULT_RETENTION;
    int alignment = 0;
    bool checksum = false;
    std::optional<timeout> wait_for_memory; /* empty: the store's */

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

private:
    struct deleter {
        void operator()(fp_subscription *handle) const noexcept { fp_unsubscribe(handle); }
    };

    std::unique_ptr<fp_subscription, deleter> handle_;
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
        return store(handle);
    }

    /* False when there was none. */
    static bool destroy(const std::string &name)
    {
        fp_status status = fp_destroy(name.c_str(), nullptr);
        if (status != FP_NO_STORE)
            check(status);
        return status == FP_OK;
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
        static_assert(sizeof(fastplasma::id) == sizeof(fp_id), "ids are plain values");
        std::vector<object> result(ids.size()); /* First: nothing can throw between pinning and owning. */
        std::vector<fp_object> got(ids.size());
        fp_wait_options options = wait.to_c();
        fp_status status = fp_get_many(handle(), ids.empty() ? nullptr : ids.data()->get(), ids.size(), needed, time.ms(), &options, got.data(), nullptr);
        if (status != FP_TIMEOUT)
            check(status);
        for (std::size_t i = 0; i < got.size(); i++)
            result[i] = object(got[i]);
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

    fastplasma::subscription subscribe()
    {
        fp_subscription *made = nullptr;
        check(fp_subscribe(handle(), &made));
        return fastplasma::subscription(made);
    }

    /* Calls each(const fp_object_info &) for every object. What it throws ends the walk and is thrown here. */
    template <class Each>
    void list(Each &&each)
    {
        struct call {
            std::remove_reference_t<Each> *each;
            std::exception_ptr thrown;
        } call{&each, nullptr};
        fp_status status = fp_list(
            handle(),
            [](void *context, const fp_object_info *info) -> int {
                auto *own = static_cast<struct call *>(context);
                try {
                    (*own->each)(*info);
                    return 0;
                } catch (...) {
                    own->thrown = std::current_exception(); /* No exception may pass through the library. */
                    return 1;
                }
            },
            &call);
        if (call.thrown)
            std::rethrow_exception(call.thrown);
        check(status);
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
        void operator()(fp_store *handle) const noexcept { fp_close(handle); }
    };

    explicit store(fp_store *handle) noexcept : handle_(handle) {}

    static store make(fp_status (*open)(const char *, const fp_store_options *, fp_store **), const std::string &name, const store_options &options)
    {
        fp_store *handle = nullptr;
        check(open(name.c_str(), options.get(), &handle));
        return store(handle);
    }

    std::unique_ptr<fp_store, deleter> handle_;
};

} // namespace fastplasma

#endif // FASTPLASMA_HPP
