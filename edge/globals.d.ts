// In V8 and in workerd (1.20261023), and not yet in the library that the compiler knows.
interface Uint8Array {
  toBase64(): string;
}
interface Uint8ArrayConstructor {
  fromBase64(text: string): Uint8Array<ArrayBuffer>;
}
