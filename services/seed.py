"""What a fresh stack begins with: a dozen SKUs, so that the first order is confirmed."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

SHELF = {
    "red-chair": 100,
    "blue-chair": 100,
    "oak-table": 40,
    "walnut-desk": 25,
    "reading-lamp": 200,
    "floor-lamp": 60,
    "bookshelf": 50,
    "wardrobe": 15,
    "armchair": 30,
    "sofa": 10,
    "wool-rug": 80,
    "wall-clock": 120,
}
"""Units by SKU."""


async def seed(urls: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Fill the shelf where inventory knows no SKU; otherwise leave everything as it is.

    `headers` say who does it.
    """
    stock = f"{urls['inventory']}/stock"
    async with aiohttp.ClientSession(raise_for_status=True, headers=headers) as http:
        async with http.get(stock) as answer:
            if (await answer.json())["items"]:
                return
        for sku, quantity in SHELF.items():
            await (await http.put(f"{stock}/{sku}")).read()
            # The same key each time: a seeding that was interrupted adds nothing twice.
            receipt = {"quantity": quantity, "note": "opening stock"}
            key = {"Idempotency-Key": f"seed {sku}"}
            await (await http.post(f"{stock}/{sku}/receipts", json=receipt, headers=key)).read()
