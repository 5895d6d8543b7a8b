/*
 * Loops that a machine runs between letters on its serial port: integer arithmetic, copying, copying between pages whose
 * numbers are equal in the low 12 bits (they compete for one place of a direct-mapped TLB), SHA-256 (FIPS 180-4),
 * decompression of the kind that LZ4 is.
 */
#include <stdint.h>

enum { INTEGER_ROUNDS = 100000000, COPY_SIZE = 1 << 20, COPY_ROUNDS = 2048, RIVAL_ROUNDS = 64, SHA_SIZE = 1 << 20, SHA_ROUNDS = 48 };
enum { UNPACK_SIZE = 1 << 20, UNPACK_ROUNDS = 128, LITERALS = 5, MATCH = 14, SEQUENCE = LITERALS + MATCH };

#ifdef __x86_64__
#define RAM 0x01000000
static void put(char letter)
{
	__asm__ volatile("outb %0, %1" :: "a"(letter), "Nd"((uint16_t)0x3f8));
}
#else
#define RAM 0x51000000
static void put(char letter)
{
	*(volatile uint32_t *)0x09000000 = letter;
}
#endif

/* RAM of the machine, zero at power-on. */
static uint64_t *const from = (uint64_t *)(RAM + 0x1000000), *const to = (uint64_t *)(RAM + 0x2345000), *const rival = (uint64_t *)(RAM + 0x2000000);
static uint8_t *const packed = (uint8_t *)(RAM + 0x4000000), *const unpacked = (uint8_t *)(RAM + 0x5000000);

static void say(char letter)
{
	put(letter);
	put('\n');
}

/* Source: Marsaglia, "Xorshift RNGs". */
static uint64_t xorshift(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

/* Shifts, logic, a count, a compare and a branch. */
static uint64_t integer(void)
{
	uint64_t x = 88172645463325252u, odd = 0;
	for (uint32_t i = 0; i < INTEGER_ROUNDS; i++) {
		x = xorshift(x);
		odd += x & 1;
	}
	return odd;
}

static void copy(uint64_t *to, int rounds)
{
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < COPY_SIZE / 8; i += 4) {
			uint64_t a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];
			to[i] = a;
			to[i + 1] = b;
			to[i + 2] = c;
			to[i + 3] = d;
		}
		__asm__ volatile("" ::: "memory");
	}
}

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, int count)
{
	return value >> count | value << (32 - count);
}

static void sha256_block(uint32_t state[8], const uint8_t *bytes)
{
	uint32_t w[64], s[8];
	for (int t = 0; t < 16; t++)
		w[t] = __builtin_bswap32(((const uint32_t *)bytes)[t]);
	for (int t = 16; t < 64; t++) {
		uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
		w[t] = w[t - 16] + s0 + w[t - 7] + s1;
	}
	for (int i = 0; i < 8; i++)
		s[i] = state[i];
	for (int t = 0; t < 64; t++) {
		uint32_t S1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
		uint32_t S0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
		uint32_t t1 = s[7] + S1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[t] + w[t];
		uint32_t t2 = S0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		for (int i = 7; i > 0; i--)
			s[i] = s[i - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

static uint32_t sha256(void)
{
	uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	for (int round = 0; round < SHA_ROUNDS; round++)
		for (int i = 0; i < SHA_SIZE; i += 64)
			sha256_block(state, (const uint8_t *)from + i);
	return state[0];
}

/* Sequences of literals and the distance of a match. */
static void pack(void)
{
	uint64_t x = 88172645463325252u;
	uint8_t *out = packed;
	for (uint32_t size = 0; size + SEQUENCE <= UNPACK_SIZE; size += SEQUENCE) {
		x = xorshift(x);
		for (int i = 0; i < LITERALS; i++)
			*out++ = x >> (8 * i);
		uint32_t distance = 1 + (x >> 40) % (size + LITERALS < 65535 ? size + LITERALS : 65535);
		*out++ = distance;
		*out++ = distance >> 8;
	}
}

static uint32_t unpack(void)
{
	const uint8_t *in = packed;
	uint8_t *out = unpacked;
	while (out + SEQUENCE <= unpacked + UNPACK_SIZE) {
		for (int i = 0; i < LITERALS; i++)
			*out++ = *in++;
		const uint8_t *match = out - (in[0] | in[1] << 8);
		in += 2;
		for (int i = 0; i < MATCH; i++)
			*out++ = *match++;
	}
	return out[-1];
}

uint64_t run(void)
{
	volatile uint64_t result = 0;
	say('i');
	result += integer();
	say('c');
	copy(to, COPY_ROUNDS);
	say('r');
	copy(rival, RIVAL_ROUNDS);
	say('s');
	result += sha256();
	pack();
	say('u');
	for (int round = 0; round < UNPACK_ROUNDS; round++)
		result += unpack();
	say('.');
	return result;
}
