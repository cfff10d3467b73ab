// Prints what the AsyncAPI parser finds wrong with each document whose file is named: JSON, an array for each.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const found = [];
for (const file of process.argv.slice(2)) {
  found.push((await new Parser().parse(readFileSync(file, "utf8"))).diagnostics);
}
console.log(JSON.stringify(found));
