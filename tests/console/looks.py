"""What a text looks like, as the browser has computed it, and whether it can be read."""

import re
from typing import Final

# Each text that is seen: itself, its colour, what is behind it (colours on top of each other, mixed), and whether it is
# large by WCAG: 24 px, or 18.66 px and bold.
CONTRASTS: Final = """
    const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255, 1]);
    };
    const css = ([r, g, b]) => `rgb(${r}, ${g}, ${b})`;
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
        if (!text || element.closest('.sr, noscript, script') || !element.checkVisibility()) continue;
        const style = getComputedStyle(element), size = parseFloat(style.fontSize), ground = behind(element);
        const ink = css(over(parse(style.color), ground));
        found.push([text, ink, css(ground), size >= 24 || (size >= 18.66 && style.fontWeight >= 700)]);
    }
    return found;
"""


def contrast(one: str, other: str) -> float:
    """The ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [float(each) / 255 for each in re.findall(r"[\d.]+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
