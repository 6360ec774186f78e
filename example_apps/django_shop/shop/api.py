"""The API, for who has a token: its throttle knows them, which the middleware cannot yet."""

from typing import Final

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

PRODUCTS: Final = [{"name": name, "price": price} for name, price in (("tea", 4), ("rice", 2), ("salt", 1))]


class Products(APIView):
    """What there is to buy."""

    def get(self, request: Request) -> Response:
        """All products."""
        return Response(PRODUCTS)
