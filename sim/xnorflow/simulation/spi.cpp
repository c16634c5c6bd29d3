// SPDX-License-Identifier: Apache-2.0
//
// A design that is an SPI slave, and its master, with a small C interface; spi.py is its only
// caller.
//
// Mode 0, highest bit first: `mosi` changes with the falling edge of `sck`, and `miso` is looked at
// in the last cycle before the rising one. Each half of a bit takes `half` cycles.

#include <cstdint>
#include <memory>

#include "Vxnorflow.h"
#include "verilated.h"

namespace {

class Board {
  public:
    explicit Board(uint64_t half) : half_{half}, context_{new VerilatedContext} {
        // What has no initial value holds the same garbage every time, as in harness.cpp.
        context_->randReset(2);
        context_->randSeed(1);
        top_.reset(new Vxnorflow{context_.get()});
        top_->sck = 0;
        top_->cs_n = 1;
        reset(4);
    }

    ~Board() { top_->final(); }

    void reset(uint64_t cycles) {
        top_->rst = 1;
        run(cycles);
        top_->rst = 0;
    }

    void run(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles; ++i) {
            top_->clk = 0;
            top_->eval();
            top_->clk = 1;
            top_->eval();
        }
        cycle_ += cycles;
    }

    // The chip is selected for so many bits, and then it is not for as long as a bit takes.
    void transfer(const uint8_t* sent, uint64_t bits, uint8_t* came) {
        top_->cs_n = 0;
        for (uint64_t i = 0; i < bits; ++i) {
            uint64_t place = 7 - i % 8;
            top_->mosi = sent[i / 8] >> place & 1;
            run(half_);
            came[i / 8] |= (top_->miso & 1) << place;
            top_->sck = 1;
            run(half_);
            top_->sck = 0;
        }
        run(half_);
        top_->cs_n = 1;
        run(2 * half_);
    }

    uint64_t cycle() const { return cycle_; }

  private:
    const uint64_t half_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vxnorflow> top_;
    uint64_t cycle_ = 0;
};

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

Board* spi_create(uint64_t half) { return new Board{half}; }
void spi_destroy(Board* b) { delete b; }
void spi_reset(Board* b, uint64_t cycles) { b->reset(cycles); }
void spi_run(Board* b, uint64_t cycles) { b->run(cycles); }
void spi_transfer(Board* b, const uint8_t* sent, uint64_t bits, uint8_t* came) {
    b->transfer(sent, bits, came);
}
uint64_t spi_cycle(Board* b) { return b->cycle(); }
}
#pragma GCC visibility pop
