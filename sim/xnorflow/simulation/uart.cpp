// SPDX-License-Identifier: Apache-2.0
//
// A design behind the two pins of a UART, with a small C interface; uart.py is its only caller.
//
// Bytes to the design are made into bits on rx, one every `divisor` cycles, 8 data bits, no parity,
// one stop bit; bits on tx are made into bytes, sampled in their middle.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "Vxnorflow.h"
#include "verilated.h"

namespace {

class Board {
  public:
    explicit Board(uint64_t divisor) : divisor_{divisor}, context_{new VerilatedContext} {
        // What has no initial value holds the same garbage every time, as in harness.cpp.
        context_->randReset(2);
        context_->randSeed(1);
        top_.reset(new Vxnorflow{context_.get()});
        top_->rx = 1;
        reset(4);
    }

    ~Board() { top_->final(); }

    void reset(uint64_t cycles) {
        top_->rst = 1;
        for (uint64_t i = 0; i < cycles; ++i) tick();
        top_->rst = 0;
        sample_in_ = 0;
    }

    void send(const uint8_t* bytes, uint64_t n) { to_send_.insert(to_send_.end(), bytes, bytes + n); }

    // Until `limit` cycles have passed or `wanted` received bytes wait.
    uint64_t run(uint64_t limit, uint64_t wanted) {
        uint64_t cycles = 0;
        for (; cycles < limit && received_.size() < wanted; ++cycles) {
            drive();
            tick();
            watch();
        }
        return cycles;
    }

    uint64_t take(uint8_t* bytes, uint64_t most) {
        uint64_t n = 0;
        for (; n < most && !received_.empty(); ++n) {
            bytes[n] = received_.front();
            received_.pop_front();
        }
        return n;
    }

    // Bytes that are not on the line yet.
    uint64_t waiting() const { return to_send_.size() + (bits_out_ ? 1 : 0); }
    uint64_t cycle() const { return cycle_; }

    // The pin is inverted in a share threshold / 2^32 of all cycles, one cycle at a time.
    void set_spikes(uint64_t seed, uint64_t threshold) {
        random_ = seed;
        spikes_ = threshold;
    }

  private:
    void tick() {
        top_->clk = 0;
        top_->eval();
        top_->clk = 1;
        top_->eval();
        ++cycle_;
    }

    void drive() {
        if (next_bit_ == 0) {
            if (!bits_out_ && !to_send_.empty()) {
                shift_out_ = to_send_.front() << 1 | 0x200;
                to_send_.pop_front();
                bits_out_ = 10;
            }
            level_ = 1;
            if (bits_out_) {
                level_ = shift_out_ & 1;
                shift_out_ >>= 1;
                --bits_out_;
                next_bit_ = divisor_ - 1;
            }
        } else {
            --next_bit_;
        }
        top_->rx = level_ ^ spike();
    }

    void watch() {
        if (!sample_in_) {
            if (!top_->tx) {
                sample_in_ = divisor_ + divisor_ / 2;
                bits_in_ = 0;
                shift_in_ = 0;
            }
        } else if (--sample_in_ == 0) {
            if (bits_in_ == 8) {
                if (top_->tx) received_.push_back(shift_in_);  // else a break, as after a reset
                return;
            }
            shift_in_ |= (top_->tx & 1) << bits_in_++;
            sample_in_ = divisor_;
        }
    }

    // SplitMix64 (Steele, Lea, Flood 2014).
    int spike() {
        if (!spikes_) return 0;
        uint64_t z = (random_ += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return ((z ^ (z >> 31)) >> 32) < spikes_;
    }

    const uint64_t divisor_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vxnorflow> top_;
    std::deque<uint8_t> to_send_;
    std::deque<uint8_t> received_;
    uint32_t shift_out_ = 0;
    int bits_out_ = 0;
    uint64_t next_bit_ = 0;
    int level_ = 1;
    uint8_t shift_in_ = 0;
    int bits_in_ = 0;
    uint64_t sample_in_ = 0;
    uint64_t random_ = 0;
    uint64_t spikes_ = 0;
    uint64_t cycle_ = 0;
};

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

Board* uart_create(uint64_t divisor) { return new Board{divisor}; }
void uart_destroy(Board* b) { delete b; }
void uart_reset(Board* b, uint64_t cycles) { b->reset(cycles); }
void uart_send(Board* b, const uint8_t* bytes, uint64_t n) { b->send(bytes, n); }
uint64_t uart_run(Board* b, uint64_t limit, uint64_t wanted) { return b->run(limit, wanted); }
uint64_t uart_take(Board* b, uint8_t* bytes, uint64_t most) { return b->take(bytes, most); }
uint64_t uart_waiting(Board* b) { return b->waiting(); }
uint64_t uart_cycle(Board* b) { return b->cycle(); }
void uart_set_spikes(Board* b, uint64_t seed, uint64_t threshold) { b->set_spikes(seed, threshold); }
}
#pragma GCC visibility pop
