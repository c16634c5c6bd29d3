// SPDX-License-Identifier: Apache-2.0
//
// The simulated device behind a small C interface; device.py is its only caller.
//
// One cycle is: apply inputs, evaluate with clk = 0 so that combinational outputs settle, sample
// the handshakes and taps, evaluate with clk = 1. A word moves when valid and ready are both 1 at
// the rising edge. Inputs keep their payload while valid waits for ready.

#include <cstdint>
#include <memory>
#include <vector>

#include "Vxnorflow.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr uint64_t kNever = UINT64_MAX;

// What one call moves. device.py mirrors this layout.
struct Exchange {
    const uint32_t* config;
    uint64_t config_count;
    uint64_t config_sent;
    const uint8_t* pixels;
    uint64_t pixel_count;
    uint64_t pixels_sent;
    int32_t* results;
    uint64_t result_count;
    uint64_t results_taken;
    uint64_t first_last;      // index of the first result word marked last, kNever for none
    uint64_t config_offered;  // a word was valid and not ready: it must stay valid
    uint64_t pixel_offered;

    bool complete() const {
        return config_sent == config_count && pixels_sent == pixel_count &&
               results_taken == result_count;
    }
    // The mark "last" belongs on the last word of the block, and only there.
    bool misframed() const {
        if (first_last != kNever) return first_last + 1 != result_count;
        return result_count != 0 && results_taken == result_count;
    }
};

// One write into an activation bank. device.py mirrors this layout.
struct TapRow {
    uint64_t enable;
    uint64_t data;
    uint32_t address;
    uint8_t row;
    uint8_t bank;
    uint8_t pixel;
    uint8_t spare;
};

// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, every seed is good.
class Random {
  public:
    void seed(uint64_t value) { state_ = value; }
    // True with probability threshold / 2^32.
    bool chance(uint64_t threshold) {
        uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return ((z ^ (z >> 31)) >> 32) < threshold;
    }

  private:
    uint64_t state_ = 0;
};

class Simulation {
  public:
    Simulation() : context_{new VerilatedContext} {
        // As on a chip, what has no initial value, such as a memory, holds something: always the
        // same garbage, so that a design that reads it is found out, and found out again.
        context_->randReset(2);
        context_->randSeed(1);
        top_.reset(new Vxnorflow{context_.get()});
        idle();
        top_->rst = 0;
        top_->reg_address = 0;
        top_->reg_write = 0;
        top_->reg_write_data = 0;
    }

    ~Simulation() {
        close_trace();
        top_->final();
    }

    void reset(uint64_t cycles) {
        idle();
        top_->rst = 1;
        for (uint64_t i = 0; i < cycles; ++i) tick();
        top_->rst = 0;
        tick();  // the wrapper's register lets go of reset a cycle later
    }

    uint32_t read_register(uint32_t index) {
        top_->reg_address = index;
        tick();
        return top_->reg_read_data;
    }

    void write_register(uint32_t index, uint32_t value) {
        top_->reg_address = index;
        top_->reg_write_data = value;
        top_->reg_write = 1;
        tick();
        top_->reg_write = 0;
    }

    // Runs until everything has moved, the result frame is wrong or `limit` cycles have passed.
    uint64_t exchange(Exchange& x, uint64_t limit) {
        const bool plain = !stalled_ && !recording_ && !tracing();
        const uint64_t cycles = plain ? run<true>(x, limit) : run<false>(x, limit);
        idle();
        return cycles;
    }

    void set_stalls(uint64_t seed, uint64_t config, uint64_t pixels, uint64_t results) {
        random_.seed(seed);
        config_stall_ = config;
        pixel_stall_ = pixels;
        result_stall_ = results;
        stalled_ = config || pixels || results;
    }

    void set_recording(bool on) {
        recording_ = on;
        taps_.clear();
    }

    const std::vector<TapRow>& taps() const { return taps_; }
    uint64_t cycle() const { return cycle_; }

    bool open_trace(const char* path) {
#if VM_TRACE
        close_trace();
        context_->traceEverOn(true);
        trace_.reset(new VerilatedVcdC);
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        if (trace_->isOpen()) return true;
        trace_.reset();
#else
        (void)path;
#endif
        return false;
    }

    void close_trace() {
#if VM_TRACE
        if (trace_) trace_->close();
        trace_.reset();
#endif
    }

  private:
    void idle() {
        top_->config_valid = 0;
        top_->config_payload = 0;
        top_->pixels_valid = 0;
        top_->pixels_payload = 0;
        top_->results_ready = 0;
    }

    // True if a new word may be offered now; a word already offered stays.
    bool may_offer(uint64_t offered, uint64_t stall) { return offered || !random_.chance(stall); }

    template <bool plain>
    uint64_t run(Exchange& x, uint64_t limit) {
        Vxnorflow& top = *top_;
        uint64_t cycles = 0;
        for (; cycles < limit && !x.complete() && !x.misframed(); ++cycles) {
            bool config_valid = x.config_sent < x.config_count;
            bool pixel_valid = x.pixels_sent < x.pixel_count;
            bool result_ready = x.results_taken < x.result_count;
            if (!plain && stalled_) {
                config_valid = config_valid && may_offer(x.config_offered, config_stall_);
                pixel_valid = pixel_valid && may_offer(x.pixel_offered, pixel_stall_);
                result_ready = result_ready && !random_.chance(result_stall_);
            }
            top.config_valid = config_valid;
            if (config_valid) top.config_payload = x.config[x.config_sent];
            top.pixels_valid = pixel_valid;
            if (pixel_valid) top.pixels_payload = x.pixels[x.pixels_sent];
            top.results_ready = result_ready;
            top.clk = 0;
            top.eval();
            const bool config_moves = config_valid && top.config_ready;
            const bool pixel_moves = pixel_valid && top.pixels_ready;
            const bool result_moves = result_ready && top.results_valid;
            if (result_moves) take(x, top.results_payload);
            if (!plain) observe();
            top.clk = 1;
            top.eval();
            if (!plain) dump(2 * cycle_ + 1);
            ++cycle_;
            x.config_sent += config_moves;
            x.pixels_sent += pixel_moves;
            x.config_offered = config_valid && !config_moves;
            x.pixel_offered = pixel_valid && !pixel_moves;
        }
        return cycles;
    }

    static void take(Exchange& x, uint64_t payload) {
        if ((payload >> 32 & 1) && x.first_last == kNever) x.first_last = x.results_taken;
        x.results[x.results_taken++] = static_cast<int32_t>(static_cast<uint32_t>(payload));
    }

    // A cycle in which no stream moves: reset and register access.
    void tick() {
        top_->clk = 0;
        top_->eval();
        observe();
        top_->clk = 1;
        top_->eval();
        dump(2 * cycle_ + 1);
        ++cycle_;
    }

    // Taps and trace, between the settled inputs and the rising edge.
    void observe() {
        dump(2 * cycle_);
        if (!recording_ || top_->rst) return;
        const uint8_t row = top_->tap_row;
        visit_taps(*top_, [&](uint8_t bank, uint8_t pixel, uint64_t enable, uint32_t address,
                              uint64_t data) {
            if (enable) taps_.push_back({enable, data, address, row, bank, pixel, 0});
        });
    }

    bool tracing() const {
#if VM_TRACE
        return trace_ != nullptr;
#else
        return false;
#endif
    }

    void dump(uint64_t time) {
#if VM_TRACE
        if (trace_) trace_->dump(time);
#else
        (void)time;
#endif
    }

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vxnorflow> top_;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    Random random_;
    uint64_t config_stall_ = 0;
    uint64_t pixel_stall_ = 0;
    uint64_t result_stall_ = 0;
    bool stalled_ = false;
    bool recording_ = false;
    std::vector<TapRow> taps_;
    uint64_t cycle_ = 0;
};

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

Simulation* xnorflow_create() { return new Simulation; }
void xnorflow_destroy(Simulation* s) { delete s; }
void xnorflow_reset(Simulation* s, uint64_t cycles) { s->reset(cycles); }
uint32_t xnorflow_read_register(Simulation* s, uint32_t index) { return s->read_register(index); }
void xnorflow_write_register(Simulation* s, uint32_t index, uint32_t value) {
    s->write_register(index, value);
}
uint64_t xnorflow_exchange(Simulation* s, Exchange* x, uint64_t limit) {
    return s->exchange(*x, limit);
}
void xnorflow_set_stalls(
    Simulation* s, uint64_t seed, uint64_t config, uint64_t pixels, uint64_t results) {
    s->set_stalls(seed, config, pixels, results);
}
void xnorflow_set_recording(Simulation* s, int on) { s->set_recording(on != 0); }
uint64_t xnorflow_tap_count(Simulation* s) { return s->taps().size(); }
const TapRow* xnorflow_tap_rows(Simulation* s) { return s->taps().data(); }
uint64_t xnorflow_cycle(Simulation* s) { return s->cycle(); }
int xnorflow_open_trace(Simulation* s, const char* path) { return s->open_trace(path); }
void xnorflow_close_trace(Simulation* s) { s->close_trace(); }
}
#pragma GCC visibility pop
