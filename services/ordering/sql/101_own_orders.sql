-- Customers list their own orders.
CREATE INDEX orders_customer_idx ON orders (customer_id, position);
