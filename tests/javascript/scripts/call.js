// Calls an exported function with the object that it reads, and prints what it gives, both as JSON.
import { text } from "node:stream/consumers";

const [script, name] = process.argv.slice(2);
const { [name]: scenario } = await import(`./${script}`);
console.log(JSON.stringify(await scenario(JSON.parse(await text(process.stdin)))));
