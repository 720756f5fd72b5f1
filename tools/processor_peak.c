// SPDX-License-Identifier: Apache-2.0
// How fast the processor multiplies and adds at best, without a memory in the way: the bound for
// every engine. Needs AVX-512 with bf16 and VNNI.
//   gcc -O3 -funroll-all-loops -march=native tools/processor_peak.c -o /tmp/peak -lpthread && /tmp/peak 2
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHAINS = 12, ROUNDS = 16000000 };  // as many independent sums as hide an instruction's delay

#define KEEP(s)                                                                                  \
  __asm__ volatile("" : "+v"(s[0]), "+v"(s[1]), "+v"(s[2]), "+v"(s[3]), "+v"(s[4]), "+v"(s[5]),  \
                        "+v"(s[6]), "+v"(s[7]), "+v"(s[8]), "+v"(s[9]), "+v"(s[10]), "+v"(s[11]))

#define LOOP(name, vector, given, first, second, step)                \
  static void *name(void *unused) {                                   \
    vector s[CHAINS] = {{0}};                                         \
    given a = (given)first, b = (given)second;                        \
    __asm__ volatile("" : "+v"(a), "+v"(b));                          \
    for (long k = 0; k < ROUNDS; k++) {                               \
      for (int i = 0; i < CHAINS; i++) s[i] = step;                   \
      KEEP(s);                                                        \
    }                                                                 \
    return unused;                                                    \
  }

LOOP(fp32, __m512, __m512, _mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f),
     _mm512_fmadd_ps(a, b, s[i]))
LOOP(bf16, __m512, __m512bh, _mm512_set1_epi16(0x3f00), _mm512_set1_epi16(0x3f00),
     _mm512_dpbf16_ps(s[i], a, b))
LOOP(int8, __m512i, __m512i, _mm512_set1_epi8(3), _mm512_set1_epi8(1),
     _mm512_dpbusd_epi32(s[i], a, b))

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(int count, char **words) {
  int threads = count > 1 ? atoi(words[1]) : 1;
  if (threads < 1 || threads > 256) return fputs("threads: 1 to 256\n", stderr), 2;
  struct { const char *name; void *(*run)(void *); int operations; } kinds[] = {
      {"fp32", fp32, 32}, {"bf16", bf16, 64}, {"int8", int8, 128}};
  for (int k = 0; k < 3; k++) {
    pthread_t running[256];
    double began_s = now_s();
    for (int i = 0; i < threads; i++) pthread_create(running + i, 0, kinds[k].run, 0);
    for (int i = 0; i < threads; i++) pthread_join(running[i], 0);
    printf("%s: %.0f G operations a second, %d threads\n", kinds[k].name,
           1e-9 * threads * CHAINS * (double)ROUNDS * kinds[k].operations / (now_s() - began_s),
           threads);
  }
}
