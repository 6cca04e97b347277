// Shares objects with other processes, in whatever language; the same as example.c with fastplasma.hpp.
//
//     c++ -std=c++17 example.cpp $(pkg-config --cflags --libs fastplasma) -o example
//     ./example STORE
//
// It waits up to ten seconds for an object named "from-elsewhere".
#include <fastplasma.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <string>

int main(int count, char **arguments)
{
    if (count != 2) {
        std::cerr << "usage: example STORE\n";
        return 2;
    }
    using namespace std::chrono_literals;
    try {
        fastplasma::store store = fastplasma::store::open_or_create(arguments[1]);
        fastplasma::subscription events = store.subscribe();

        // Asked for now, waited for later.
        std::future<fastplasma::object> own = store.get_async(fastplasma::id::from_name("from-cpp"), 10s);

        // One copy.
        const std::string text = "hello from C++";
        fastplasma::put_options options;
        options.name = "from-cpp";
        options.content_type = "text/plain";
        if (!store.try_put(fastplasma::id::from_name("from-cpp"), text.data(), text.size(), options))
            std::cout << "from-cpp is there from a run before\n";

        // No copy: written in place, then published. A writer that is destroyed before seal gives its object up.
        fastplasma::id in_place = fastplasma::id::from_name("from-cpp-in-place");
        if (!store.contains(in_place)) {
            fastplasma::writer writer = store.create(in_place, 1000000);
            std::iota(writer.begin(), writer.end(), std::uint8_t{0});
            writer.seal();
        }

        std::cout << "got: " << own.get().view() << "\n";

        // No copy, and no lock: the bytes of whoever put them, until the object is destroyed.
        if (std::optional<fastplasma::object> object = store.get(fastplasma::id::from_name("from-elsewhere"), 10s)) {
            std::uint64_t sum = std::accumulate(object->begin(), object->end(), std::uint64_t{0});
            std::cout << "from-elsewhere: " << object->size() << " bytes, sum " << sum << "\n";
        } else {
            std::cout << "from-elsewhere did not come\n";
            return 1;
        }

        std::cout << "objects:\n";
        store.list([](const fp_object_info &info) { std::cout << "  " << fastplasma::id(info.id).to_string().substr(0, 12) << " " << info.payload_size << " bytes " << info.name << "\n"; });
        int seen = 0;
        while (events.next(0s))
            seen++;
        std::cout << "events: " << seen << "\n";
        std::cout << "copied by gets: " << store.stats().process.get_copied_bytes << " bytes\n";
        return 0;
    } catch (const fastplasma::error &e) {
        std::cerr << e.status_name() << ": " << e.what() << "\n";
        return 1;
    }
}
