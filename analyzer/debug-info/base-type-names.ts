/** Names of C's base types: compilers spell them out; people and gdb do not. */

/** Short name by the one that GCC and pahole write. */
export const SHORT_NAMES: Readonly<{ [name: string]: string }> = {
  'long unsigned int': 'unsigned long',
  'long int': 'long',
  'long long unsigned int': 'unsigned long long',
  'long long int': 'long long',
  'short unsigned int': 'unsigned short',
  'short int': 'short',
};
